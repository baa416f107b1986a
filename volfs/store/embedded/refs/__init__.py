"""What moves. Imports go downward::

roots                   all that gc begins with
held_leases, leases     what sessions need; the former of a store that cannot be written
tags, refs              names for versions; volumes, their names, versions and heads
holds                   versions that operations read: locks of the kernel
name_log                names and tags once more, in a file beside the index
"""
