"""Changes of a file system that are published together: one version of each volume."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit

OpenEdit = Callable[[str, ExitStack], Edit]
"""A function that opens an edit of a volume, and gives its end to the stack."""


class ChangeBatch:
    """Changes to volumes that nobody sees before ``commit``. Thread-safe."""

    def __init__(self, open_edit: OpenEdit) -> None:
        self._open_edit = open_edit
        self._edits: dict[str, Edit] = {}
        self._stack = ExitStack()
        self._lock = threading.RLock()

    @contextmanager
    def editing(self, volume: str) -> Iterator[Edit]:
        """The edit of a volume, for a ``with`` block in which nobody else uses it."""
        with self._lock:
            if volume not in self._edits:
                self._edits[volume] = self._open_edit(volume, self._stack)
            yield self._edits[volume]

    def commit(self, note: CommitNote) -> None:
        """Make one version of each volume that was changed, and end the batch.

        If a volume cannot be committed, those after it are not. OverriddenError if ``note`` asks
        for it; FileSystemError for limits; StoreError.
        """
        with self._lock, self._stack:
            for edit in self._edits.values():
                edit.commit(note)

    def discard(self) -> None:
        """End the batch, and publish nothing."""
        with self._lock:
            self._stack.close()
