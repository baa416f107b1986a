"""What a program is told, once, of names that do less here than on Modal."""

from __future__ import annotations

import logging
from typing import NoReturn

from volfs.containers.messages import is_local
from volfs.errors import UnimplementedError

log = logging.getLogger(__name__)
_noted: set[str] = set()


def note(what: str, why: str) -> None:
    """Log it, once in a program and not again in its containers."""
    if what not in _noted and is_local():
        _noted.add(what)
        log.warning("%s: %s", what, why)


def take_as_noted(what: str) -> None:
    """In a program that does what the note would only promise."""
    _noted.add(what)


def refuse(what: str, why: str) -> NoReturn:
    """The answer to the use of what was only accepted. UnimplementedError."""
    raise UnimplementedError(f"{what}: {why}")
