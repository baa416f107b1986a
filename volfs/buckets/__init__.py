"""Buckets: objects by key in S3, Google Cloud Storage, Azure Blob Storage, or in memory.

Everything here blocks and may be called by any thread. What a bucket is asked goes through
``access.Bucket``, which repeats, waits and translates errors; a *door* speaks to one kind of
service, one request at a time.
"""
