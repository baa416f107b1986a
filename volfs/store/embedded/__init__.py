"""The embedded engine: one directory, with packs and one LMDB environment. Imports go downward::

engine          handles on open stores, and one engine for each directory
contract/       Refs, Leases and Care of an open store, each over its parts
opened          the parts of an open store, wired together
care/           gc, check, repair, rebuilding
tables/         ordered tables beside the index, and signals between processes
refs/           volumes, versions, tags, leases, holds, and the name log
place/          the directory: its layout, and the proof that it is the one that was opened
data/           the data path: pack files, the index, uploads
"""
