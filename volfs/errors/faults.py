"""Named points at which a test has a process die or hang. Unarmed, each is one comparison.

``VOLFS_FAULT=POINT:COUNT:ACTION`` in a process's environment: at the COUNT-th time
that POINT is reached, ``kill`` ends the process as kill -9 does, and ``hang``
keeps the thread there for ever, as a store does that does not answer. POINT ``*``
is any of them. The points are named where they are reached; docs/reliability.md
says what is tested at which.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "VOLFS_FAULT"
KILL, HANG = "kill", "hang"


class Fault:
    """What is to happen once, and where."""

    def __init__(self, point: str, count: int, action: str) -> None:
        if action not in (KILL, HANG):
            raise ValueError(f"{VARIABLE}: {action!r} is neither {KILL} nor {HANG}")
        self.point = point
        self.left = count
        self.action = action

    def pass_by(self, point: str) -> None:
        if self.point not in ("*", point):
            return
        self.left -= 1
        if self.left == 0 and self.action == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.left == 0:
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
