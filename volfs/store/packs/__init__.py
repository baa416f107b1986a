"""Objects in packs, for any engine. Imports go downward::

    upload, copier, rebuilder     new objects, copies in other packs, rows of a new index
    check, survey                 every pack and entry verified; how much of each pack is in use
    entries, scan                 entries compared with records; records found without an index
    reader                        objects by id: read, verified, decoded
    local_index                   where objects are: rows in LMDB
    source, sink                  the interfaces by which packs are read and written
    codec, rows                   layouts of bytes

An engine implements ``PackSource`` and ``PackSink``, and adds to ``LocalIndex`` how rows are
written. No module here knows an engine.
"""
