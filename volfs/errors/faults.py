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

VARIABLE = "VOLFS_FAULT"
KILL, HANG, STOP = "kill", "hang", "stop"
_SIGNALS = {KILL: signal.SIGKILL, STOP: signal.SIGSTOP}


class Fault:
    """What is to happen once, and where."""

    def __init__(self, point: str, count: int, action: str) -> None:
        if action not in (KILL, HANG, STOP):
            raise ValueError(f"{VARIABLE}: {action!r} is none of {KILL}, {HANG} and {STOP}")
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


_armed: Fault | None = None


def arm(spec: str) -> None:
    """Arm this process as ``VOLFS_FAULT`` says; an empty text disarms it. ValueError."""
    global _armed
    if not spec:
        _armed = None
        return
    point, count, action = spec.split(":")
    _armed = Fault(point, int(count), action)


def reached(point: str) -> None:
    """Say that this point of the write order is reached."""
    if _armed is not None:
        _armed.pass_by(point)


arm(os.environ.get(VARIABLE, ""))
