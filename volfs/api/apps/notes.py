"""The notes that a program gets, once each, about names that do less here than on Modal."""

from __future__ import annotations

import logging
from typing import NoReturn

from volfs.containers.messages import is_local
from volfs.errors import UnimplementedError

log = logging.getLogger(__name__)
_noted: set[str] = set()


def note(what: str, why: str) -> None:
    """Log a note, once in a program, and not again in its containers."""
    if what not in _noted and is_local():
        _noted.add(what)
        log.warning("%s: %s", what, why)


def take_as_noted(what: str) -> None:
    """Suppress a note, in a program that does what the note says is not done."""
    _noted.add(what)


def refuse(what: str, why: str) -> NoReturn:
    """Raise UnimplementedError, when something that was only accepted is used."""
    raise UnimplementedError(f"{what}: {why}")
