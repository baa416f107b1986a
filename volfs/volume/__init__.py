"""Volumes without a mount: reading and writing content, commits, history. Blocking."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AbstractVolumeUploadContextManager": "volfs.api.batch_upload:BatchUpload",
    "FileEntry": "volfs.volume.listing:FileEntry",
    "FileEntryType": "volfs.volume.listing:FileEntryType",
    "Volume": "volfs.api.volume:Volume",
    "VolumeCreateOptions": "volfs.api.volume:VolumeCreateOptions",
    "VolumeInfo": "volfs.api.volume:VolumeInfo",
    "VolumeManager": "volfs.api.volume:VolumeObjects",
}
"""The homes of names that Modal's programs import from here.

The room itself knows only their names. Type checkers find them in __init__.pyi.
"""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
