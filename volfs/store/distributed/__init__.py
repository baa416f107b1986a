"""The engine whose store is a bucket. docs/distributed.md says how it works.

Everything that changes is a *log*: numbered objects, each made once and never overwritten with
other content. The only thing that is asked of a bucket is "create this object if it is absent".

``engine``    one store for each address and process.
``opened``    the parts of an open store, wired together.
``leases/``   what sessions rely on: a log for each.
``refs/``     volumes, versions and tags; publishing.
``log/``      one log: append, read, find the end.
``data/``     objects: packs on their way to the bucket, and the places of those that are there.
``place/``    the names of objects, and the making and the examination of a store.
"""
