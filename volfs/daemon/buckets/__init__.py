"""Mounts of buckets: another kind of mount of the same daemon."""
