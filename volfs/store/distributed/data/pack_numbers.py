"""The numbers by which this process calls packs.

An index entry has a number where the bucket has a name. A number means one pack as long as the
process lives, whatever becomes of the rows in LMDB. So what was verified stays verified.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection

from volfs.errors import MissingObjectError
from volfs.model.segments.packs_named import NamedPack


class PackNumber(int):
    """A number that messages show as the pack's name."""

    name = ""

    def __str__(self) -> str:
        return self.name or f"{int(self):d}"

    __repr__ = __str__


class PackNumbers:
    """Numbers of packs, and which packs were found to be gone. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = itertools.count(1)
        self._numbers: dict[NamedPack, PackNumber] = {}
        self._packs: dict[int, NamedPack] = {}
        self._gone: set[int] = set()

    def reserve(self) -> PackNumber:
        """A number for a pack that has no name yet."""
        return PackNumber(next(self._next))

    def bind(self, number: PackNumber, pack: NamedPack) -> None:
        """Give a reserved number its pack."""
        with self._lock:
            number.name = pack.name
            self._numbers[pack] = number
            self._packs[number] = pack

    def get_number(self, pack: NamedPack) -> PackNumber:
        """The number of a pack. A line that became slim is another pack than it was."""
        found = self._numbers.get(pack)
        if found is not None:
            return found
        with self._lock:
            found = self._numbers.get(pack)
            if found is None:
                found = self._numbers[pack] = PackNumber(next(self._next))
                found.name = pack.name
                self._packs[found] = pack
        return found

    def get_pack(self, number: int) -> NamedPack:
        """MissingObjectError if the number has no pack yet."""
        pack = self._packs.get(number)
        if pack is None:
            raise MissingObjectError(f"pack {number} is not in the bucket")
        return pack

    def find_pack(self, number: int) -> NamedPack | None:
        return self._packs.get(number)

    def list_named(self, names: Collection[str]) -> list[PackNumber]:
        """The numbers of all packs that have one of these names."""
        with self._lock:
            return [number for pack, number in self._numbers.items() if pack.name in names]

    def note_gone(self, number: int) -> None:
        """Note that the bucket does not have this pack any more. No name is used twice, so it will
        never have it again."""
        self._gone.add(number)

    def is_gone(self, number: int) -> bool:
        return number in self._gone
