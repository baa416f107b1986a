"""Warnings for names that documents about Modal have and Modal itself does not have. The names
work, and warn."""

from __future__ import annotations

import warnings

from volfs.errors import DeprecatedWarning

BLOCKING = 1
"""The number of frames that a twin adds between a method and its caller."""


def warn_of(name: str, instead: str, frames: int = 0) -> None:
    """Warn the caller of the calling method. ``frames`` is the number of further frames up to that
    caller."""
    warnings.warn(
        f"Modal has no {name}; {instead} does the same", DeprecatedWarning, stacklevel=3 + frames
    )
