"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.cloud_bucket_mount import CloudBucketMount

__all__ = ["CloudBucketMount"]
