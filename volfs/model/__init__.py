"""Pure values and rules: what a volume is, without saying where its bytes live.

Nothing here knows of trio, lmdb, FUSE, sockets, clocks or logging. Functions
that need stored objects take the two callables of ``model/objects.py``.
"""
