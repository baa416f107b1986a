"""Inode numbers: a function of a file's place, so that most need not be remembered.

The number of a name is a hash of its directory's number and the name. A file with hard links has
the number of its link group. A file therefore has one number as long as a mount lives, however
often the kernel forgets it, and one number under all of its names. Only exceptions are remembered:
files that were renamed or linked here, names that were used again while their former file lived
on, and files that a reload replaced. The catalog keeps the exceptions for a daemon that takes over
the overlay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xxhash import xxh3_64_intdigest

ROOT_INO = 1
DERIVED = 1 << 61
"""Derived numbers lie from here to twice this. Numbers that are given lie below."""
NumberOwner = tuple[int, bytes] | int
"""The owner of a number: a name in the directory of a number, or a link group."""


def derive(key: NumberOwner) -> int:
    """The number of a name or a group that is no exception."""
    if isinstance(key, int):
        return DERIVED | xxh3_64_intdigest(key.to_bytes(8, "big"), seed=1) % DERIVED
    ino, name = key
    return DERIVED | xxh3_64_intdigest(name, seed=ino) % DERIVED


class Numbers:
    """The exceptions of one mount, and the next number to be given."""

    def __init__(self) -> None:
        self.last = ROOT_INO
        """The last number that was given. Derived numbers do not count."""
        self.unrecorded: set[NumberOwner] = set()
        """The keys whose exceptions the catalog has not recorded as they are now."""
        self._exceptions: dict[NumberOwner, int] = {}
        self._keys: dict[int, NumberOwner] = {}
        """The key of each exception, by number. No other key may get such a number."""

    def choose(self, key: NumberOwner, is_taken: Callable[[int], bool]) -> int:
        """The number of an inode that is loaded or made. ``is_taken`` says whether a loaded inode
        has a number."""
        number = self.find(key)
        if is_taken(number) or self._keys.get(number, key) != key:
            number = self.renew(key)
        return number

    def find(self, key: NumberOwner) -> int:
        """The number of a name or a group, if no other key has it."""
        return self._exceptions.get(key) or derive(key)

    def renew(self, key: NumberOwner) -> int:
        """Give a key a new number, because another file is there now."""
        self.last += 1
        self.keep(key, self.last)
        return self.last

    def renew_all(self, keys: Iterable[NumberOwner]) -> None:
        for key in keys:
            self.renew(key)

    def keep(self, key: NumberOwner, number: int) -> None:
        """Let a name or a group have this number from now on. A key that had it loses it."""
        if self.find(key) == number and self._keys.get(number, key) == key:
            return
        self._drop(key)
        if number in self._keys:
            self._drop(self._keys[number])
        if number != derive(key):
            self._exceptions[key] = number
            self._keys[number] = key
        self.unrecorded.add(key)

    def _drop(self, key: NumberOwner) -> None:
        number = self._exceptions.pop(key, None)
        if number is not None:
            del self._keys[number]
            self.unrecorded.add(key)

    def restore(self, exceptions: dict[NumberOwner, int], last: int) -> None:
        """Take over the exceptions that a catalog recorded, and the last number that was given."""
        self.last = max(self.last, last)
        for key, number in exceptions.items():
            self._exceptions[key] = number
            self._keys[number] = key

    def take_unrecorded(self) -> set[NumberOwner]:
        """The keys that the catalog is to record now. They are no longer due."""
        taken, self.unrecorded = self.unrecorded, set()
        return taken

    def give_back_unrecorded(self, keys: set[NumberOwner]) -> None:
        """Make keys due again that could not be recorded."""
        self.unrecorded |= keys

    def find_exception(self, key: NumberOwner) -> int | None:
        """The number to record for this key; None if it is the derived one."""
        return self._exceptions.get(key)
