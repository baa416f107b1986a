"""LMDB whose pages and rows are verified before they are believed: the only room that
imports lmdb. Imports go downward::

    record_file             a file of one table, which one owner writes and reads whole
    whole_tables            copying and emptying tables, and looking for damage in them
    environment             a file of tables that processes share
    transaction             rows, read and written; checksum is what makes a row believable
    access, ballast         for a disk that may not be written, or is full
    reader_table            for a disk that hangs
    page_rows               rows read without LMDB, for what is damaged
    pages                   a look at the pages before LMDB follows them

Nothing here knows an engine.
"""
