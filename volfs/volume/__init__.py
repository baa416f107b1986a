"""Volumes without a mount: reading and writing content, commits, history. Blocking."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "FileEntry": "volfs.volume.listing",
    "FileEntryType": "volfs.volume.listing",
    "Volume": "volfs.api.volume",
    "VolumeCreateOptions": "volfs.types",
    "VolumeInfo": "volfs.api.volume",
}
"""Modal's programs import these from here. The room itself knows nothing of them but
their names; type checkers find them in __init__.pyi.
"""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
