"""Waiting for a daemon, for as long as the caller allows, and never long in silence."""

from __future__ import annotations

import logging
import select
import sys
import time

from volfs.control.process_state import describe_process, find_process_state
from volfs.errors import AnswerTimeoutError, NoAnswerError
from volfs.model.text import show_line

log = logging.getLogger(__name__)

WORD_AFTER = 3.0
"""Seconds of silence before one message."""
LOOK = 0.5
"""Seconds between two looks at the process."""


class DaemonWait:
    """One wait for the daemon of a mount. ``timeout`` is in seconds; None means as long as it
    takes."""

    def __init__(
        self,
        what: str,
        timeout: float | None,
        *,
        patience: float = 0.0,
        pid: int | None = None,
        then: str = "",
    ) -> None:
        """``what`` names the mount in messages, and ``then`` says what to do after ``timeout``.

        Silence may last ``patience`` seconds longer than usual.
        """
        self.what = what
        self.pid = pid
        """The daemon's process, once it is known."""
        self._then = then
        self._timeout = timeout
        self._began = time.monotonic()
        self._word_after = WORD_AFTER + patience
        self._has_spoken = False
        self._was_ending = False

    def for_descriptor(self, descriptor: int, events: int) -> None:
        """Return when the descriptor is ready. AnswerTimeoutError; NoAnswerError if the daemon was
        killed."""
        poller = select.poll()
        poller.register(descriptor, events)
        while not poller.poll(1000 * self._step()):
            self.look()

    def _step(self) -> float:
        left = LOOK if self._timeout is None else self._began + self._timeout - time.monotonic()
        return max(0.0, min(LOOK, left))

    def look(self) -> None:
        """A waiting caller calls this now and then. It raises what ``for_descriptor`` raises."""
        waited = time.monotonic() - self._began
        if self._timeout is not None and waited >= self._timeout:
            raise AnswerTimeoutError(
                f"{self.what}: no answer in {self._timeout:g} seconds from its daemon, {self._who}"
                f"{self._then}"
            )
        if waited >= self._word_after and not self._has_spoken:
            self._has_spoken = True
            say(f"waiting for the daemon of {self.what}, {self._who}")
        self._see_to_the_end()

    def _see_to_the_end(self) -> None:
        """NoAnswerError if the daemon was killed: it answers nobody, even if it sleeps and cannot
        die yet."""
        state = find_process_state(self.pid) if self.pid else None
        is_ending = state is not None and state.is_ending
        if is_ending and self._was_ending:
            raise NoAnswerError(f"{self.what}: no answer from its daemon, {self._who}{self._then}")
        self._was_ending = is_ending

    @property
    def _who(self) -> str:
        if not self.pid:
            return "which takes no calls"
        return f"pid {self.pid}: {describe_process(self.pid)}"


def say(words: str) -> None:
    """Log a warning. A program without a log gets it on standard error."""
    if log.hasHandlers():
        log.warning("%s", words)
    elif sys.stderr is not None:
        sys.stderr.write(show_line(f"volfs: {words}") + "\n")
        sys.stderr.flush()
