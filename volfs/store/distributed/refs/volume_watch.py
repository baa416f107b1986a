"""What comes with the lines of a volume's log and would have to be fetched later: manifests, and
the records of the newest lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from volfs.errors import DamagedObjectError
from volfs.model.logs.line import Line, list_records
from volfs.model.objects import Kind
from volfs.store.distributed.checkpoints.volume_history import VolumeHistory
from volfs.store.packs.codec import unpack_object

LINES = 64
"""Lines whose records are handed on when a log was read. Of more, the newest ones."""

NumberedLine = tuple[int, Line]


class VolumeListener(Protocol):
    """Whoever is told what happens to the logs of volumes. It raises nothing, and asks nothing of
    the bucket before it returns."""

    def take_lines(self, volume_id: str, lines: Sequence[NumberedLine]) -> None:
        """These lines were read, and have records."""

    def on_moved(self, volume_id: str, *, is_ours: bool) -> None:
        """More of a log is known than before, by a line of ours or by those of others."""


class VolumeWatch:
    """``log.follower.Watch`` of one volume. Thread-safe."""

    def __init__(self, volume_id: str, history: VolumeHistory) -> None:
        self.listener: VolumeListener | None = None
        self.unsaved = 0
        """Bytes of lines since the newest checkpoint; about."""
        self._volume_id = volume_id
        self._history = history
        self._lines: deque[NumberedLine] = deque(maxlen=LINES)

    def on_line(self, number: int, line: Line, *, is_ours: bool) -> None:
        self.unsaved += len(line.body) + line.written
        if line.records:
            self._note_manifests(line)
            if not is_ours:
                self._lines.append((number, line))

    def on_moved(self, number: int, *, is_ours: bool) -> None:
        lines: list[NumberedLine] = []
        while self._lines:
            lines.append(self._lines.popleft())
        if self.listener is not None:
            self.listener.take_lines(self._volume_id, lines)
            self.listener.on_moved(self._volume_id, is_ours=is_ours)

    def _note_manifests(self, line: Line) -> None:
        try:
            for record in list_records(line):
                header = record.header
                if header.kind is Kind.MANIFEST:
                    content = bytes(unpack_object(header, record.stored))
                    self._history.note_manifest(header.oid, content)
        except DamagedObjectError:
            pass  # Whoever reads the object is told.
