"""Work in a child process, which may die or hang of it while this process goes on."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from volfs.system.proc import list_threads


def may_fork() -> bool:
    """Whether a child would have all that this process has. A child lacks its other threads."""
    return len(list_threads()) == 1


def ask_child(answer: Callable[[], bytes], seconds: float | None = None) -> bytes | None:
    """The answer of a forked child; empty if the child dies.

    None if it has not answered after ``seconds``. It is then killed, and not waited for, because
    it may be where no signal reaches it. The process should have one thread.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(answer, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        if seconds is not None and not select.select([reader], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
            return None
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def _answer(answer: Callable[[], bytes], writer: int) -> None:
    """Answer in the child, and never return.

    The standard files become /dev/null, so that nobody who waits for their end waits for the
    child.
    """
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with open(writer, "wb", closefd=False) as pipe:
            pipe.write(answer())
    finally:
        os._exit(0)
