"""A launcher that is loading while none is needed yet: half of what a container takes to start.

There is one at most in a process, from the first container with volumes until
``drop_spare``. A launcher has the environment of when it was begun, so one that
was begun for other directories is not taken.
"""

from __future__ import annotations

import os
import threading

from volfs.containers.launching import Launcher
from volfs.control.mounts import runtime_directory

_lock = threading.Lock()
_spare: dict[str, Launcher] = {}


def take_launcher() -> Launcher:
    """The spare one, or a new one."""
    with _lock:
        spare = _spare.pop(_name_place(), None)
    return spare or Launcher()


def keep_spare() -> None:
    """Begin one, unless there is one."""
    with _lock:
        if _name_place() not in _spare:
            _drop()
            _spare[_name_place()] = Launcher()


def drop_spare() -> None:
    with _lock:
        _drop()


def _drop() -> None:
    while _spare:
        place, launcher = _spare.popitem()
        if place.startswith(f"{os.getpid()} "):  # after a fork it is the parent's
            with launcher:
                pass


def _name_place() -> str:
    return f"{os.getpid()} {runtime_directory()}"
