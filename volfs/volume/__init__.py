"""Volumes without a mount: reading and writing content, commits, history. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volfs.volume.listing import FileEntry, FileEntryType

__all__ = ["FileEntry", "FileEntryType"]


def __getattr__(name: str) -> Any:
    """Modal's programs import these from here; nobody else shall wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from volfs.volume import listing

    return getattr(listing, name)
