"""Sizes as people write them: 20G, 500M, 10%."""

from __future__ import annotations

import re

from volfs.errors import InvalidError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp]?)(?:i?b)?|(%))\s*", re.IGNORECASE)
_POWERS = " kmgtp"


def parse_size(said: str, whole: int, what: str) -> int:
    """Bytes; a percentage is of ``whole``. InvalidError, which begins with ``what``."""
    match = _SIZE.fullmatch(said)
    if match is None:
        raise InvalidError(f"{what}: '{said}' is no size; write it like 20G, 500M or 10%")
    number, unit, percent = match.groups()
    if percent:
        return int(whole * min(float(number), 100) / 100)
    return int(float(number) * (1 << 10 * _POWERS.index(unit.lower() or " ")))
