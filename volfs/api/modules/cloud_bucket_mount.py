"""The names of ``modal.cloud_bucket_mount``."""

from __future__ import annotations

from volfs.api.cloud_bucket_mount import CloudBucketMount

__all__ = ["CloudBucketMount"]
