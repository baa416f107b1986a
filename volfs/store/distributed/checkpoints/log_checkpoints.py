"""The checkpoints of one log: the state after one of its lines, as it lies in the bucket.

A checkpoint is made of what a follower knows, so only of lines that are in the log. Two that are
made after one line say the same of the log; of what lies beside it, the first one counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from volfs.errors import DamagedObjectError
from volfs.model.logs.line import Line, digest_line
from volfs.model.logs.volume_checkpoint import NOTHING_KEPT, Kept
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.beginnings import Beginnings
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.log_forms import LogForm
from volfs.store.distributed.checkpoints.machine_memory import MachineMemory, Remembered
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import LogPlace

State = TypeVar("State")
log = logging.getLogger(__name__)


class Beside(NamedTuple):
    """What lies beside a log, as its checkpoint after one line says."""

    number: int = NO_NUMBER
    """That line."""
    kept: Kept = NOTHING_KEPT
    size: int = 0
    """Bytes of the checkpoint's content."""


NOTHING_BESIDE = Beside()


class LogBeginning(NamedTuple, Generic[State]):
    """What one checkpoint says."""

    known: KnownLog[State]
    beside: Beside

    @property
    def number(self) -> int:
        return self.known.number


class LogCheckpoints(Generic[State]):
    """The checkpoints of one log. Thread-safe."""

    def __init__(
        self,
        objects: FramedObjects,
        place: LogPlace,
        magic: bytes,
        restore: Callable[[Buffer], LogBeginning[State]],
        memory: MachineMemory | None = None,
    ) -> None:
        self.newest = NOTHING_BESIDE
        """What lies beside the log, by the newest checkpoint that this process has read or
        made."""
        self._beginnings = Beginnings(objects, place, magic, restore)
        self._place = place
        self._memory = memory
        self._remembered = NO_NUMBER
        """The line up to which this machine remembers the log."""

    def recall(self) -> KnownLog[State] | None:
        """What this machine remembers of the log. The caller has to prove it by its line."""
        found = self._memory.find(self._place) if self._memory is not None else None
        if found is None:
            return None
        try:
            known, kept = self.restore_remembered(found)
        except DamagedObjectError as error:
            log.info("%s: what is remembered is passed over: %s", self._place.lines, error)
            return None
        self._remembered = known.number
        if found.checkpoint > self.newest.number:
            self.newest = Beside(found.checkpoint, kept, found.size)
        return known

    def remember(self, known: KnownLog[State]) -> None:
        """Let this machine remember a log, if it remembers less. Raises nothing."""
        if self._memory is None or known.number <= self._remembered:
            return
        self._remembered = known.number
        self._memory.note(self._place, self.make_remembered(known))

    def restore_remembered(self, found: Remembered) -> tuple[KnownLog[State], Kept]:
        """What is remembered. DamagedObjectError."""
        raise NotImplementedError

    def make_remembered(self, known: KnownLog[State]) -> Remembered:
        raise NotImplementedError

    def begin(self) -> Iterator[KnownLog[State]]:
        """What checkpoints say of the log, the newest first. StoreError."""
        self.newest = NOTHING_BESIDE  # What this machine remembered is not what the log says.
        for found in self._beginnings.iter_newest():
            former, self.newest = self.newest, found.beside
            yield found.known
            self.newest = former  # The line after which it was made is another.

    def renew(self, log: Log) -> None:
        """Look whether there is a newer checkpoint, of a process that was faster. Objects that are
        named only by an older one may be deleted. StoreError; DataError."""
        for number in self._beginnings.list_numbers():
            if number <= self.newest.number:
                return
            found = self._beginnings.find(number)
            if found is not None and _is_of(found.known, log.find_line(number)):
                self._believe(found)
                return

    def put(self, known: KnownLog[State], content: bytes, kept: Kept = NOTHING_KEPT) -> None:
        """Make the checkpoint after a line that is in the log. If another process has made it,
        believe what that one says of the objects beside the log, because nobody else knows of the
        objects of this process. StoreError."""
        if self._beginnings.create(known.number, content):
            self._believe(LogBeginning(known, Beside(known.number, kept, len(content))))
            return
        there = self._beginnings.find(known.number)
        if there is not None and there.known.digest == known.digest:
            self._believe(there)

    # --- inside --------------------------------------------------------------------

    def _believe(self, found: LogBeginning[State]) -> None:
        if found.number > self.newest.number:
            self.newest = found.beside


class PlainCheckpoints(LogCheckpoints[State]):
    """The checkpoints of a log that has nothing else beside it. Thread-safe."""

    def __init__(
        self,
        objects: FramedObjects,
        place: LogPlace,
        form: LogForm[State],
        memory: MachineMemory | None = None,
    ) -> None:
        super().__init__(objects, place, form.magic, self._restore, memory)
        self._form = form

    def write(self, known: KnownLog[State]) -> None:
        """Make the checkpoint after a line that is in the log. StoreError."""
        self.put(known, self._form.encode(known))

    def restore_remembered(self, found: Remembered) -> tuple[KnownLog[State], Kept]:
        return self._form.decode(found.content), NOTHING_KEPT

    def make_remembered(self, known: KnownLog[State]) -> Remembered:
        return Remembered(self.newest.number, self.newest.size, self._form.encode(known))

    def _restore(self, content: Buffer) -> LogBeginning[State]:
        known = self._form.decode(content)
        return LogBeginning(known, Beside(known.number, size=len(content)))


def _is_of(known: KnownLog[State], line: Line | None) -> bool:
    """Whether a checkpoint was made after this line."""
    return line is not None and digest_line(line) == known.digest
