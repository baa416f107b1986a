"""A call as another user, and what came of it in words that two places can be compared by."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
Become = Callable[[], None] | None
"""What a process does to itself when it has become a user."""


def attempt(call: Callable[[], object]) -> object:
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def as_user(
    uid: int, gids: list[int], directory: Path, call: Callable[[], object], become: Become = None
) -> None:
    """Run ``call`` in a child that is this user, in ``directory``; it must not raise."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(directory)
            libc.prctl(8, 1)  # PR_SET_KEEPCAPS
            os.setgroups(gids[1:])
            os.setresgid(*[gids[0]] * 3)
            os.setresuid(*[uid] * 3)
            (become or (lambda: None))()
            call()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
