"""Values that the API gives, and others of Modal's, where programs import them from."""

from __future__ import annotations

from typing import Any

from volfs.api.apps import observed
from volfs.api.apps.observed import (
    UNOBSERVED,
    AppState,
    FileType,
    FileWatchEventType,
    FunctionAutoscalerSettings,
    FunctionCurrentStats,
    InputInfo,
    InputStatus,
)
from volfs.api.dict import DictInfo
from volfs.api.queue import QueueInfo
from volfs.api.secret import SecretInfo
from volfs.api.volume import VolumeCreateOptions, VolumeInfo
from volfs.volume.listing import FileEntry, FileEntryType

__all__ = [
    "AppState",
    "DictInfo",
    "FileEntry",
    "FileEntryType",
    "FileType",
    "FileWatchEventType",
    "FunctionAutoscalerSettings",
    "FunctionCurrentStats",
    "InputInfo",
    "InputStatus",
    "QueueInfo",
    "SecretInfo",
    "VolumeCreateOptions",
    "VolumeInfo",
]


def __getattr__(name: str) -> Any:
    if name not in UNOBSERVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(observed, name)
