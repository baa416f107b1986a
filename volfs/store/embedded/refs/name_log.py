"""Names and tags once more, in a file beside the index, because packs do not tell them if the
index is lost.

Each change is one line, which is durable before the transaction that makes the change. So the log
says what the index says, or what somebody was about to do. Lines: docs/format.md, "The name log".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest

from volfs.errors import OutOfSpaceError
from volfs.errors.fault_points import reached
from volfs.model.names import MAIN, join_name
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.contract.care import Named
from volfs.store.owner import give_to_owner
from volfs.system.files import replace_file, write_all

NAME_LOG = "names.log"


class Naming(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """A volume's name or a tag's version from now on. None says that there is none any more."""

    volume: str
    name: str | None = None
    tag: str | None = None
    version: int | None = None
    environment: str = MAIN
    """The environment that the name is in."""


class NameLine(NamedTuple):
    number: int
    """The number of the line in the file, from 1 on."""
    naming: Naming | None
    """None if the line is damaged."""


class NameLog:
    """The log. Whoever writes to it holds the index's writer lock."""

    def __init__(self, path: Path, prove: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._prove = prove
        """Raises StoreReplacedError if the path no longer leads to the store's file."""

    def add(self, naming: Naming, all_now: Iterable[Naming], *, is_removal: bool = False) -> None:
        """Make a naming durable. If there is no log yet, write ``all_now`` before it. StoreError.

        A removal may have to make room on a full disk. Then it is left out, and the name would
        come back if the index were lost.
        """
        self._prove()
        try:
            if self._is_ours_alone():
                self._append(_encode(naming))
            else:
                self.replace((*all_now, naming))
        except OutOfSpaceError:
            if not is_removal:
                raise
        reached("names.logged")

    def _is_ours_alone(self) -> bool:
        """Whether the file is there, and is not also the file of a copy of the store made by
        links."""
        with store_errors(f"{self._path}"):
            return self.exists() and self._path.stat().st_nlink == 1

    def exists(self) -> bool:
        return self._path.exists()

    def _append(self, line: bytes) -> None:
        with store_errors(f"{self._path}"):
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                write_all(fd, line)
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def replace(self, namings: Iterable[Naming]) -> None:
        """Let the log consist of these lines, in one step. StoreError."""
        self._prove()
        beside = self._path.with_suffix(".new").name
        with store_errors(f"{self._path}"):
            replace_file(self._path, map(_encode, namings), beside=beside, made=self._give)

    def _give(self, descriptor: int) -> None:
        give_to_owner(descriptor, self._path.parent)

    def read(self) -> dict[str, Named]:
        """What the log says of each volume, by id. Damaged lines are ignored. StoreError."""
        return _gather(line.naming for line in self.list_lines() if line.naming)

    def read_certain(self) -> dict[str, Named]:
        """As ``read``, without anything that a damaged line may have changed. StoreError."""
        lines = self.list_lines()
        damaged = [at for at, line in enumerate(lines) if line.naming is None]
        after = damaged[-1] + 1 if damaged else 0
        return _gather(line.naming for line in lines[after:] if line.naming)

    def list_lines(self) -> list[NameLine]:
        """The lines, oldest first, without torn ones. A torn line tells of nothing that
        happened."""
        with store_errors(f"{self._path}"):
            try:
                rows = self._path.read_bytes().split(b"\n")
            except FileNotFoundError:
                return []
        # A whole line is followed by two line feeds, or by one and the end of the file.
        is_whole = [not row for row in rows[1:]] + [False]
        lines = [NameLine(at, _find(row)) for at, row in enumerate(rows, 1)]
        return [
            line
            for line, row, whole in zip(lines, rows, is_whole, strict=True)
            if row and (line.naming or whole)
        ]


def _gather(namings: Iterable[Naming]) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for naming in namings:
        name, tags = found.get(naming.volume, Named(None, {}))
        if naming.tag is None:
            name = join_name(naming.environment, naming.name) if naming.name else ""
        elif naming.version is None:
            tags.pop(naming.tag, None)
        else:
            tags[naming.tag] = naming.version
        found[naming.volume] = Named(name, tags)
    return found


def _encode(naming: Naming) -> bytes:
    """The line, with a line feed before it, because the line that is there may be torn."""
    text = msgspec.json.encode(naming)
    return b"\n" + text + b" " + xxh3_64_hexdigest(text).encode() + b"\n"


def _find(row: bytes) -> Naming | None:
    """The naming of a line. None if it is no valid line of a name log."""
    text, _, checksum = row.rpartition(b" ")
    if xxh3_64_hexdigest(text).encode() != checksum:
        return None
    with suppress(ValueError):
        return msgspec.json.decode(text, type=Naming)
    return None
