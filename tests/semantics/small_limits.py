"""Limits that a short look can reach; ``tests/fuse/test_limits.py`` has the real ones."""

from __future__ import annotations

FEW = """
from volfs.model import profile
profile.PROFILES[1] = profile.PROFILES[1]._replace(max_inodes=3)
profile.PROFILES[2] = profile.PROFILES[2]._replace(max_entries=3)
"""
"""Limits that a short look can reach; ``tests/fuse/test_limits.py`` has the real ones."""
