"""Objects in packs: what no engine owns. Imports go downward::

    upload, copier, rebuilder     objects on their way in, to other packs, into a new index
    check, survey                 every pack and entry: verified; how much of it is in use
    entries, scan                 entries held against records; records found without an index
    reader                        objects by id: read, verified, decoded
    local_index                   where objects are: rows in LMDB
    source, sink                  the protocols of packs: how they are read, and written
    codec, rows                   bytes alone

An engine implements ``PackSource`` and ``PackSink``, and adds to ``LocalIndex`` how rows
come to be there. Nothing here knows an engine.
"""
