"""A bucket as a file system that nobody has mounted yet.

What the bucket has is the truth, and each change is a request. In between this room keeps, in
the trio thread alone, what it was told and for how long that is believed (``listing``), the
inodes that the kernel knows (``nodes``), and what programs have written and the bucket has not
got yet (``staged``). docs/concurrency.md, "Buckets", says how an operation is built.
"""
