"""Ending on a signal within a limit, whatever hangs.

SIGTERM, SIGINT and SIGHUP are waited for in a thread of their own: the main one may hang in
a write to a store, or to a log that lies there. The first asks the mount to leave;
a later one, or the limit, ends the process at once. What was recorded of the overlay
stays, and the next mount takes it over.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import trio

log = logging.getLogger(__name__)

WITHIN = 7.0
"""Seconds from the first signal to giving up."""
RELEASE = 2.0
"""Seconds more, for taking the mount away; then the kernel ends the process."""
ONE_ORDER = 1.0
"""Seconds in which signals count once: where every process of a container is sent one,
its init process passes its own on."""
SIGNALS = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGPWR,
    signal.SIGXCPU,
}
"""SIGHUP is what a terminal sends that closes; under ``nohup``, which has it ignored, it is left
out."""


class Ending:
    """The end of this process. ``release`` is called in another thread when it gives up."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.release: Callable[[], None] = lambda: None
        self._token = trio.lowlevel.current_trio_token()
        self._signals = SIGNALS

    def watch(self) -> None:
        """From now on signals come here. Before any other thread is started."""
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self._signals = SIGNALS - {signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        signal.sigwait(self._signals)
        first = time.monotonic()
        # If even Python stands still, a signal without a handler ends the process.
        signal.setitimer(signal.ITIMER_REAL, WITHIN + RELEASE)
        timer = threading.Timer(WITHIN, self._give_up, ("hung at its end",))
        timer.daemon = True
        timer.start()
        self._ask()
        _wait_for_another(first, self._signals)
        self._give_up("told twice to end")

    def _ask(self) -> None:
        try:
            self._token.run_sync_soon(self.asked.set)
        except trio.RunFinishedError:
            self._give_up("told to end when it had ended")

    def _give_up(self, why: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, RELEASE)
        # The log may be what hangs.
        message = ("%s: ending at once; what was recorded of the overlay stays", why)
        try:
            threading.Thread(target=log.error, args=message, daemon=True).start()
            self.release()
        finally:
            os._exit(1)


def _wait_for_another(first: float, signals: set[signal.Signals]) -> None:
    """Wait for a signal that is not of the order that came at that monotonic time."""
    now = first
    while now - first < ONE_ORDER:
        signal.sigwait(signals)
        now = time.monotonic()
