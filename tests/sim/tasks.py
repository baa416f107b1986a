"""Threads of which exactly one runs: each goes on when it is told to, until it parks again."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable

PATIENCE = 60.0
"""Real seconds after which a thread that does not park counts as stuck."""


class Died(BaseException):
    """Raised in the threads of a client that has died, at whatever they wait for."""


class StuckError(AssertionError):
    """A thread waits for something that the simulation does not know."""


class Wait:
    """What a parked task waits for. ``is_over`` says whether it may go on by itself."""

    def __init__(
        self,
        what: str,
        is_so: Callable[[], bool] = lambda: False,
        until: float | None = None,
    ) -> None:
        self.what = what
        self.is_so = is_so
        self.until = until
        """The moment of simulated time at which the wait ends anyhow."""


class Task:
    """One thread of a client."""

    def __init__(self, name: str, work: Callable[[], object], turns: Turns) -> None:
        self.name = name
        self.wait: Wait | None = Wait("begins", lambda: True)
        self.result: object = None
        self.error: BaseException | None = None
        self.is_over = False
        self.is_dead = False
        self._work = work
        self._turns = turns
        self._go = _make_signal()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._has_begun = False

    def park(self, wait: Wait) -> None:
        """Called by the task's own thread: let the scheduler go on. ``Died``."""
        if threading.current_thread() is not self._thread:
            raise StuckError(f"{threading.current_thread().name} has no place in the simulation")
        self._check_alive()
        self.wait = wait
        self._turns.give_back()
        self._go.acquire()
        self.wait = None
        self._check_alive()

    def resume(self) -> None:
        """Called by the scheduler: let the task run until it parks again, or ends."""
        self._turns.current = self
        if self._has_begun:
            self._go.release()
        else:
            self._has_begun = True
            self._thread.start()
        if not self._turns.wait_back():
            raise StuckError(f"{self.name} does not come back:\n{self._show_stack()}")
        self._turns.current = None
        if self.is_over:
            self._thread.join()

    def _run(self) -> None:
        self.wait = None
        try:
            self._check_alive()
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - whoever joins the task raises it
            self.error = error
        self.is_over = True
        self._turns.give_back()

    def _check_alive(self) -> None:
        if self.is_dead:
            raise Died

    def _show_stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(no stack)"


class Turns:
    """Whose turn it is: the scheduler's, or that of ``current``."""

    def __init__(self) -> None:
        self.current: Task | None = None
        self._back = _make_signal()

    def give_back(self) -> None:
        self._back.release()

    def wait_back(self) -> bool:
        return self._back.acquire(timeout=PATIENCE)

    def running(self) -> Task:
        """The task that runs now. AssertionError outside of one."""
        assert self.current is not None, "the scheduler itself sends no request"
        return self.current


def _make_signal() -> threading.Lock:
    """A lock that one thread releases and another acquires: quicker than a semaphore."""
    signal = threading.Lock()
    signal.acquire()
    return signal
