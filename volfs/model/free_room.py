"""Room in arenas that no file needs any more, and that is written again before an arena grows.

Giving a small piece of room back to the disk costs a millisecond; a large one costs no more. Pure.
"""

from __future__ import annotations

from volfs.model.intervals import Intervals

PUNCH_MIN = 1 << 18
"""The size of a piece, in bytes, that is given back to the disk at once."""
Room = tuple[int, int, int]
"""The number of the arena, start and end, in whole blocks."""


class FreeRoom:
    """Whole blocks by arena. ``bytes`` is their total."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ranges: dict[int, Intervals] = {}

    def add(self, arena: int, start: int, end: int) -> Room | None:
        """Take in room. Returns the piece that has become so large that it is to be given back."""
        ranges = self._ranges.setdefault(arena, Intervals())
        ranges.add(start, end)
        self.bytes += end - start
        start, end = ranges.find(start)
        if end - start < PUNCH_MIN:
            return None
        self._leave(arena, start, end)
        return arena, start, end

    def take(self, length: int, after: int) -> tuple[int, int] | None:
        """Take ``length`` bytes of room in an arena after ``after``: the arena and the place. None
        if there is no such room."""
        for arena, ranges in self._ranges.items():
            if arena > after:
                start, end = ranges.last
                if end - start >= length:
                    self._leave(arena, start, start + length)
                    return arena, start
        return None

    def drop(self, arena: int) -> list[Room]:
        """Forget the room in an arena, and return it."""
        dropped = [(arena, start, end) for start, end in self._ranges.get(arena, ())]
        for each in dropped:
            self._leave(*each)
        return dropped

    def drop_all(self) -> list[Room]:
        return [room for arena in list(self._ranges) for room in self.drop(arena)]

    def _leave(self, arena: int, start: int, end: int) -> None:
        self.bytes -= end - start
        self._ranges[arena].remove(start, end)
        if not self._ranges[arena]:
            del self._ranges[arena]
