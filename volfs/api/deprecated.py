"""Names that documents about Modal have and Modal has not: they work, and warn."""

from __future__ import annotations

import warnings

from volfs.errors import DeprecatedWarning

BLOCKING = 1
"""The frames that a twin adds between a method and its caller."""


def warn_of(name: str, instead: str, frames: int = 0) -> None:
    """Warn the caller of the calling method, or one who is so many ``frames`` further away."""
    warnings.warn(
        f"Modal has no {name}; {instead} does the same", DeprecatedWarning, stacklevel=3 + frames
    )
