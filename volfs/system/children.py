"""Work in a child process, which may die of it or hang, and this process goes on."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from volfs.system.proc import list_threads


def may_fork() -> bool:
    """Whether a child would have all that this process has: its other threads it has not."""
    return len(list_threads()) == 1


def ask_child(answer: Callable[[], bytes], seconds: float | None = None) -> bytes | None:
    """What a forked child answers; nothing where it dies of the question.

    None where it has not answered after so many seconds: then it is killed, and not waited
    for, as it may be where no signal reaches it. The process should have one thread.
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
    """Never returns. Who waits for the end of our standard files does not wait for the child."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with open(writer, "wb", closefd=False) as pipe:
            pipe.write(answer())
    finally:
        os._exit(0)
