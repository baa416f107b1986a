"""Staying with a command in the foreground until it ends, and passing signals on to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from volfs.containers.process import PASSED, ContainerCommand

_FROM_KERNEL = 0x80
"""SI_KERNEL: the signal comes from the kernel, for example from a terminal."""


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals back, from before a command is started, until ``attend`` takes them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*PASSED, signal.SIGCHLD))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attend(process: ContainerCommand) -> int:
    """Wait for a command, and return its exit status. Call it within ``signals_held``, in the main
    thread.

    Signals from a terminal are not passed on: they have reached the command already, because it is
    in our process group.
    """
    while process.poll() is None:
        caught = signal.sigwaitinfo((*PASSED, signal.SIGCHLD))
        if caught.si_signo != signal.SIGCHLD and caught.si_code != _FROM_KERNEL:
            process.send_signal(caught.si_signo)
    return process.returncode
