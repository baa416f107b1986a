"""Inode numbers: a function of where a file is, so that most need not be remembered.

A name has the number that its directory's number and its name hash to; a file with
hard links has the number of its link group. A file therefore has one number for as
long as a mount lives, however often the kernel forgets it, and one under all of its
names. Only exceptions are remembered: files that were renamed or linked here, names
that were used again while their former file lived on, and files that a reload
replaced. The catalog keeps the exceptions for the daemon that takes an overlay over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xxhash import xxh3_64_intdigest

ROOT_INO = 1
DERIVED = 1 << 61
"""Derived numbers begin here, and end before twice this; numbers that are given lie below."""
Key = tuple[int, bytes] | int
"""What has a number: a name in the directory of a number, or a link group."""


def derive(key: Key) -> int:
    """The number that a name or a group has unless it is an exception."""
    if isinstance(key, int):
        return DERIVED | xxh3_64_intdigest(key.to_bytes(8, "big"), seed=1) % DERIVED
    ino, name = key
    return DERIVED | xxh3_64_intdigest(name, seed=ino) % DERIVED


class Numbers:
    """The exceptions of one mount, and the next number to be given."""

    def __init__(self) -> None:
        self.last = ROOT_INO
        """The last number given; derived ones do not count."""
        self.unrecorded: set[Key] = set()
        """Whose exceptions the catalog has not recorded as they are."""
        self._exceptions: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        """Whose the numbers of exceptions are: nothing else may get them."""

    def choose(self, key: Key, is_taken: Callable[[int], bool]) -> int:
        """The number of what is being loaded or made; ``is_taken`` tells of loaded inodes."""
        number = self.find(key)
        if is_taken(number) or self._keys.get(number, key) != key:
            number = self.renew(key)
        return number

    def find(self, key: Key) -> int:
        """The number of a name or a group as far as nothing else has it."""
        return self._exceptions.get(key) or derive(key)

    def renew(self, key: Key) -> int:
        """Give a new number: another file is there now."""
        self.last += 1
        self.keep(key, self.last)
        return self.last

    def renew_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.renew(key)

    def keep(self, key: Key, number: int) -> None:
        """A name or a group has this number from now on; whatever had it, has it no more."""
        if self.find(key) == number and self._keys.get(number, key) == key:
            return
        self._drop(key)
        if number in self._keys:
            self._drop(self._keys[number])
        if number != derive(key):
            self._exceptions[key] = number
            self._keys[number] = key
        self.unrecorded.add(key)

    def _drop(self, key: Key) -> None:
        number = self._exceptions.pop(key, None)
        if number is not None:
            del self._keys[number]
            self.unrecorded.add(key)

    def restore(self, exceptions: dict[Key, int], last: int) -> None:
        """Take over what a catalog recorded."""
        self.last = max(self.last, last)
        for key, number in exceptions.items():
            self._exceptions[key] = number
            self._keys[number] = key

    def take_unrecorded(self) -> set[Key]:
        """The keys that the catalog is to record now, and that are not due again."""
        taken, self.unrecorded = self.unrecorded, set()
        return taken

    def give_back_unrecorded(self, keys: set[Key]) -> None:
        """They could not be recorded: they are due again."""
        self.unrecorded |= keys

    def find_exception(self, key: Key) -> int | None:
        """The number to be recorded for this key; None if it is the derived one."""
        return self._exceptions.get(key)
