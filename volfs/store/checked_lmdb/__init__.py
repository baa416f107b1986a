"""LMDB whose pages and rows are verified before they are used: the only room that imports lmdb.

Imports go downward::

    record_file             a file of one table, which one owner writes and reads whole
    whole_tables            copying and emptying tables, and looking for damage in them
    environment             a file of tables that processes share
    transaction             rows, read and written; checksum verifies each of them
    access, ballast         for a store that may not be written, and for a full disk
    reader_table            for a disk that hangs
    page_rows               rows read without LMDB, for a damaged file
    pages                   a look at the pages before LMDB follows them

No module here knows an engine.
"""
