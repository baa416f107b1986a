"""Values that the API gives, where Modal's programs import them from."""

from __future__ import annotations

from volfs.volume.listing import FileEntry, FileEntryType

__all__ = ["FileEntry", "FileEntryType"]
