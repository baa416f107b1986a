"""The engine whose store is a bucket. docs/distributed.md says how it works.

Everything that changes is a *log*: numbered objects, each made once and never overwritten with
other content. The only thing that is asked of a bucket is "create this object if it is absent".

``bucket_engine``    one store for each address and process.
``opened``           the parts of an open store, wired together.
``care/``            gc, and what the contract promises of care.
``machine``          what a machine has of a store.
``creation``         the making and the examination of a store.
``leases/``          what sessions rely on: a log for each.
``refs/``            volumes, versions and tags; publishing.
``data/``            objects: packs on their way to the bucket, and the places of those there.
``checkpoints/``     what saves the reading of whole logs.
``log/``             one log: append, read, find the end.
``place/``           the names of objects, the facts of a store, and the probe.
"""
