"""When checkpoints are due, and who writes them: a thread beside whatever the process does next.

Whoever has written the line that makes one due writes it. Others write it if it is long overdue.
Two at once are harmless. A failure costs nothing but time: the next one is due soon.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import NamedTuple, Protocol

from volfs.errors import VolfsError
from volfs.store.distributed.log.log import NO_NUMBER
from volfs.system.world import World

EVERY_LINES = 64
"""A checkpoint is made after so many lines, whatever its size."""
EVERY_BYTES = 8 << 20
"""Or after so many bytes of lines."""
EVERY_FEW = 16
"""After a checkpoint whose content is ``SMALL``, the next one is made after so many lines, because
whoever knows nothing of the log needs a request for each line after a checkpoint."""
SMALL = 512 << 10
OVERDUE = 2
"""A process that has only read the lines makes the checkpoint after so many times as many."""
CLOSE_SECONDS = 10.0
log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often checkpoints are made."""

    lines: int
    few: int

    def is_due(self, since: int, size: int, unsaved: int, *, is_ours: bool) -> bool:
        """Whether one is due, by the lines since the newest one, its size, and the bytes of those
        lines."""
        patience = 1 if is_ours else OVERDUE
        lines = self.few if is_ours and size <= SMALL else self.lines * patience
        return since >= lines or (unsaved >= EVERY_BYTES * patience and since > 0)


def choose_pace(lines: int = 0) -> Pace:
    """The usual pace; or a checkpoint after every ``lines`` lines, or more often."""
    lines = lines or EVERY_LINES
    return Pace(lines, min(EVERY_FEW, lines))


class CheckpointedLog(Protocol):
    """A log that has checkpoints, as one process knows it."""

    @property
    def name(self) -> str:
        """The name of the log, which no other log of the store has."""

    @property
    def number(self) -> int:
        """The newest line that is known."""

    def is_due(self, tried: int, *, is_ours: bool) -> bool:
        """Whether a checkpoint is due. ``tried`` is the line after which one was tried last."""

    def renew(self) -> None:
        """Look whether another process was faster. VolfsError."""

    def keep(self) -> None:
        """Make the checkpoint after the newest line that is known. VolfsError."""


class DueCheckpoints:
    """Makes the checkpoints of a store's logs when they are due. Thread-safe."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = threading.Condition()
        self._running: set[str] = set()
        self._tried: dict[str, int] = {}
        """The line at which the last attempt for a log began."""
        self._is_closed = False

    def close(self) -> None:
        """Begin nothing any more, and wait some seconds for what has begun."""
        with self._changed:
            self._is_closed = True
            self._world.wait_for(self._changed, lambda: not self._running, CLOSE_SECONDS)

    def look(self, kept: CheckpointedLog, *, is_ours: bool) -> None:
        """Begin a checkpoint if one is due. ``is_ours``: this process has written the newest
        line."""
        if not kept.is_due(self._tried.get(kept.name, NO_NUMBER), is_ours=is_ours):
            return
        with self._changed:
            if self._is_closed or kept.name in self._running:
                return
            self._running.add(kept.name)
            self._tried[kept.name] = kept.number
        self._world.start(partial(self._run, kept))

    def _run(self, kept: CheckpointedLog) -> None:
        try:
            kept.renew()
            if kept.is_due(NO_NUMBER, is_ours=True):
                kept.keep()
        except VolfsError as error:
            log.info("%s: no checkpoint: %s", kept.name, error)
        except Exception:
            log.exception("%s: no checkpoint", kept.name)
        finally:
            with self._changed:
                self._running.discard(kept.name)
                self._changed.notify_all()
        self.look(kept, is_ours=True)  # Another may have become due meanwhile.
