"""Named points at which a test has a process die or hang. Unarmed, each is one comparison.

``VOLFS_FAULT=POINT:COUNT:ACTION`` in a process's environment: at the COUNT-th time
that POINT is reached, ``kill`` ends the process as kill -9 does, ``hang``
keeps the thread there for ever, as a store does that does not answer, and ``stop``
stops the process until SIGCONT, so that something can be done meanwhile. POINT ``*``
is any of them. The points are named where they are reached; docs/reliability.md
says what is tested at which.
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
    """What is to happen once, and where."""

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
            # To this thread: of one to the process another may be the first to know.
            signal.pthread_kill(threading.get_ident(), _SIGNALS[self.action])
        else:
            os.read(os.pipe()[0], 1)


class Wrong:
    """What was to be armed and is no fault: every point says so."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def pass_by(self, point: str) -> None:
        raise InvalidError(self.problem)


_armed: ArmedFault | Wrong | None = None


def arm(spec: str) -> None:
    """Arm this process as ``VOLFS_FAULT`` says; an empty text disarms it. InvalidError."""
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
    """InvalidError where what the environment said at the start is no fault."""
    if isinstance(_armed, Wrong):
        _armed.pass_by("")


def reached(point: str) -> None:
    """Say that this point of the write order is reached."""
    if _armed is not None:
        _armed.pass_by(point)


try:
    arm(os.environ.get(VARIABLE, ""))
except InvalidError as error:
    _armed = Wrong(str(error))
