"""LMDB whose pages and rows are verified before they are believed: the only room that
imports lmdb.

``environment`` opens a file, ``transaction`` reads and writes rows, ``checksum`` is what
makes a row believable. ``pages`` looks at the pages before LMDB follows them, and
``page_rows`` reads rows without LMDB at all. ``reader_table``, ``access`` and ``ballast``
are for disks that hang, may not be written, or are full. Nothing here knows an engine.
"""
