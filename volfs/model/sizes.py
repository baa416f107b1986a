"""Sizes as people write them (20G, 500M, 10%) and as they are shown to people."""

from __future__ import annotations

import re

from volfs.errors import InvalidError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp]?)(?:i?b)?|(%))\s*", re.IGNORECASE)
_POWERS = " kmgtp"
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def parse_size(said: str, whole: int, what: str) -> int:
    """Bytes; a percentage is of ``whole``. InvalidError, which begins with ``what``."""
    match = _SIZE.fullmatch(said)
    if match is None:
        raise InvalidError(f"{what}: '{said}' is no size; write it like 20G, 500M or 10%")
    number, unit, percent = match.groups()
    if percent:
        return int(whole * min(float(number), 100) / 100)
    return int(float(number) * (1 << 10 * _POWERS.index(unit.lower() or " ")))


def format_size(size: int) -> str:
    """A size in bytes in the largest unit that fits: ``12 B``, ``1.5 KiB``, ``2.0 GiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in _UNITS:
        value /= 1024
        if value < 1024 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"
