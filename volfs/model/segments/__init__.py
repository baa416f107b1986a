"""Where objects are, as bytes in a bucket. Imports go downward::

    segment_writer, merging_segments    a segment made from sorted entries; several made one
    segment                             the parts of a segment: blocks, directory, look-up
    id_filter                           which ids a segment cannot have
    footer                              the records of one pack
    packs_named                         the packs that the others name

Pure: bytes in, values out. Layouts: docs/format.md, "Footers and index segments".
"""
