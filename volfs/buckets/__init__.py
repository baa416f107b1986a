"""Buckets: objects by key in S3, Google Cloud Storage, Azure Blob Storage, or in memory.

Everything here blocks and may be called by any thread. Requests to a bucket go through
``access.Bucket``, which repeats them, waits, and translates errors. A *door* (``doors/``) speaks to
one kind of service, one request at a time, and proves who it is by ``credentials/``. ``cache/``
reads objects through a disk cache.
"""
