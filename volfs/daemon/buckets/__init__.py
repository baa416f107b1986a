"""Mounts of buckets, which are another kind of mount of the same daemon."""
