"""Refs: everything in a store that changes. Imports go downward::

roots                   everything that gc begins with
held_leases, leases     what sessions need; held_leases is for a store that cannot be written
tags, refs              names for versions; volumes with their names, versions and heads
holds                   locks of the kernel on versions that operations read
name_log                names and tags once more, in a file beside the index
"""
