"""Objects in a bucket: packs on their way there, and the places of those that are there.

Imports go downward::

    bucket_data         everything below, wired together
    bucket_upload       what one publication brings: packs, and records for its line
    segment_making      index segments, made and put
    bucket_sink         the packs of an upload: spooled, and put as they fill
    bucket_objects      objects by id
    place_finder        the place of an object: rows, then footers, then segments
    segment_reader      look-ups in the segments of a bucket
    bucket_packs        packs by number: in the spool, in the cache, in the bucket
    place_rows          what this machine knows of places, in LMDB
    spool               the records of one pack that is not in the bucket yet
    pack_numbers        the numbers by which this process calls packs
    volume_packs        what the data path asks of a volume's log

Nothing here writes a line of a log. The log names what is read, and what was put here is named by
whoever publishes it.
"""
