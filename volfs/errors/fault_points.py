"""Named points at which a test lets a process die or hang. An unarmed point costs one comparison.

``VOLFS_FAULT=POINT:COUNT:ACTION`` in the environment of a process arms it. When the process
reaches POINT for the COUNT-th time, ``kill`` ends it as kill -9 does, ``hang`` blocks the thread
for ever, like a store that does not answer, and ``stop`` stops the process until SIGCONT, so that
a test can act meanwhile. The POINT ``*`` means every point. The code names each point where it
reaches it. docs/reliability.md says what is tested at which point.
"""

from __future__ import annotations

import os
import signal
import threading

from volfs.errors import InvalidError

VARIABLE = "VOLFS_FAULT"
KILL, HANG, STOP = "kill", "hang", "stop"
_SIGNALS = {KILL: signal.SIGKILL, STOP: signal.SIGSTOP}


class ArmedFault:
    """What is to happen once, and at which point."""

    def __init__(self, point: str, count: int, action: str) -> None:
        self.point = point
        self.left = count
        self.action = action

    def pass_by(self, point: str) -> None:
        if self.point not in ("*", point):
            return
        self.left -= 1
        if self.left != 0:
            return
        if self.action in _SIGNALS:
            # The signal goes to this thread: another thread might take one that goes to the
            # process.
            signal.pthread_kill(threading.get_ident(), _SIGNALS[self.action])
        else:
            os.read(os.pipe()[0], 1)


class Wrong:
    """A text that arms nothing: every point raises its error."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def pass_by(self, point: str) -> None:
        raise InvalidError(self.problem)


_armed: ArmedFault | Wrong | None = None


def arm(spec: str) -> None:
    """Arm this process as ``VOLFS_FAULT`` says. An empty text disarms it. InvalidError."""
    global _armed
    _armed = None
    if not spec:
        return
    point, _, rest = spec.partition(":")
    count, _, action = rest.partition(":")
    if not point or not count.isdecimal() or action not in (KILL, HANG, STOP):
        raise InvalidError(
            f"{VARIABLE}={spec}: POINT:COUNT:ACTION is wanted, with {KILL}, {HANG} or {STOP}"
        )
    _armed = ArmedFault(point, int(count), action)


def check_environment() -> None:
    """InvalidError if ``VOLFS_FAULT`` in the environment does not name a fault."""
    if isinstance(_armed, Wrong):
        _armed.pass_by("")


def reached(point: str) -> None:
    """Say that this point in the order of writes is reached."""
    if _armed is not None:
        _armed.pass_by(point)


try:
    arm(os.environ.get(VARIABLE, ""))
except InvalidError as error:
    _armed = Wrong(str(error))
