"""The packs of a volume, as an immutable value.

A pack is *open* or *closed*. A closed pack is still read, but nothing new may rely on it. A line
with records is a pack, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from immutables import Map

from volfs.errors import ConflictError
from volfs.model.logs.volume_changes import Forward, LoggedPack


class PackInUse(NamedTuple):
    """A pack of a volume. Of an object that several packs have, the one of the latest line
    counts."""

    pack: LoggedPack
    line: int
    """The line that named the pack first."""
    is_open: bool = True


class PackTable(NamedTuple):
    """The packs of a volume. Each change makes another table, and costs what changes."""

    packs: Map[str, PackInUse] = Map()
    forwards: Map[str, tuple[str, ...]] = Map()
    """For packs whose live records were copied: the packs that have the copies."""

    def is_open(self, name: str) -> bool:
        return name in self.packs and self.packs[name].is_open

    def is_closed(self, name: str) -> bool:
        return name in self.packs and not self.packs[name].is_open

    def list_oldest_first(self, first: int = 0) -> list[PackInUse]:
        """The packs of the lines from ``first`` on, by their lines and then by their names."""
        rows = (row for row in self.packs.values() if row.line >= first)
        return sorted(rows, key=lambda row: (row.line, row.pack.name))

    def check_open(self, names: Iterable[str]) -> None:
        """ConflictError for a pack that nothing new may rely on."""
        for name in names:
            if not self.is_open(name):
                raise ConflictError(f"pack {name} is not open: put its objects again")

    def add(self, packs: Iterable[LoggedPack], line: int) -> PackTable:
        """The table with packs that are open. ConflictError for one that is known otherwise."""
        rows = self.packs.mutate()
        for pack in packs:
            known = rows.get(pack.name) or PackInUse(pack, line)
            if known.pack != pack or not known.is_open:
                raise ConflictError(f"pack {pack.name} is closed, or another pack")
            rows[pack.name] = known
        return self._replace(packs=rows.finish())

    def turn(self, names: Iterable[str], *, is_open: bool) -> PackTable:
        """The table with these packs opened or closed. ConflictError if one of them is that
        already, or is not there."""
        rows = self.packs.mutate()
        for name in names:
            known = rows.get(name)
            if known is None or known.is_open == is_open:
                raise ConflictError(f"pack {name} is not {'closed' if is_open else 'open'}")
            rows[name] = known._replace(is_open=is_open)
        return self._replace(packs=rows.finish())

    def forward(self, forwards: Iterable[Forward]) -> PackTable:
        """The table with other places for the records of packs. ConflictError for a place that is
        no pack of the table."""
        for _, targets in forwards:
            self.check_open(targets)
        return self._replace(forwards=self.forwards.update(dict(forwards)))

    def remove(self, names: Iterable[str]) -> PackTable:
        """The table without packs that were deleted. ConflictError for one that is open."""
        rows = self.packs.mutate()
        for name in names:
            if self.is_open(name):
                raise ConflictError(f"pack {name} is open: it cannot be gone")
            rows.pop(name, None)
        return self._replace(packs=rows.finish())

    def drop(self, names: Iterable[str]) -> PackTable:
        """The table without damaged packs, open or closed. ConflictError for one that is not
        there."""
        rows = self.packs.mutate()
        for name in names:
            if rows.pop(name, None) is None:
                raise ConflictError(f"pack {name} is not there")
        return self._replace(packs=rows.finish())
