"""The names of ``modal.gpu``."""

from __future__ import annotations

from volfs.api.apps.processors import (
    A10G,
    A100,
    B200,
    GPU,
    H100,
    H200,
    L4,
    L40S,
    T4,
    Any,
)

__all__ = [
    "A10G",
    "A100",
    "B200",
    "GPU",
    "H100",
    "H200",
    "L4",
    "L40S",
    "T4",
    "Any",
]
