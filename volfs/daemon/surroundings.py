"""What a process inherits from its starter and a daemon cannot live with.

These are limits, signals that are blocked or ignored, a umask, and standard files that are closed.
What can be corrected is corrected. The rest is reported before anything is mounted.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from volfs.errors import MountError, VolfsError
from volfs.model.text import show

PRIVATE = 0o077


class KernelLimit(NamedTuple):
    """A limit of the kernel, and the least value that a mount needs."""

    limit: int
    least: int
    what: str
    flag: str


NEEDS = (
    KernelLimit(resource.RLIMIT_NOFILE, 256, "open files", "-n"),
    KernelLimit(resource.RLIMIT_FSIZE, 1 << 34, "the size of a file", "-f"),
    KernelLimit(resource.RLIMIT_AS, 1 << 42, "address space, which an index maps", "-v"),
)
IGNORED = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGXFSZ,
    signal.SIGTTIN,
    signal.SIGTTOU,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""Signals that nobody sends to a daemon as an order to end, though ending is what they do."""


def settle_in() -> None:
    """Set this process up as a daemon needs it. Called by its first thread, before it has
    others."""
    os.umask(PRIVATE)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # While it is ignored, no child could be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_limits() -> None:
    """Raise limits that are too low, as far as we may. MountError for the first that stays too
    low."""
    for need in NEEDS:
        if not _suffices(need.limit, need.least):
            _raise(need)
            if not _suffices(need.limit, need.least):
                _, hard = resource.getrlimit(need.limit)
                raise MountError(
                    f"too low a limit, {hard}, of {need.what} (ulimit {need.flag}): "
                    f"a mount needs {need.least}"
                )


def _suffices(limit: int, least: int) -> bool:
    soft, _ = resource.getrlimit(limit)
    return soft == resource.RLIM_INFINITY or soft >= least


def _raise(need: KernelLimit) -> None:
    """Raise a limit to what is allowed, or beyond it, as root may."""
    _, hard = resource.getrlimit(need.limit)
    for wanted in ((hard, hard), (need.least, max(hard, need.least))):
        with suppress(ValueError, OSError):
            resource.setrlimit(need.limit, wanted)


_NOWHERE = (os.O_WRONLY, os.O_RDONLY, os.O_RDWR)
"""The ways to open 0, 1 and 2 if they are closed."""


def open_standard_files() -> None:
    """Open /dev/null for each of 0, 1 and 2 that is closed; otherwise a pipe or a store would get
    its number.

    Reading from 0 and writing to 1 then fail, as they do if these are closed, so no input is taken
    as empty and no output is lost in silence. Output on 2 is dropped.
    """
    for number, access in enumerate(_NOWHERE):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, access)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


@contextmanager
def starting(what: str) -> Iterator[None]:
    """Raise what a machine refuses at a start as a MountError of one line."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        raise to_mount_error(error, f"{what}: ") from error


def to_mount_error(error: BaseException, what: str = "") -> BaseException:
    """A MountError for processes, threads, memory and files that cannot be had; else the error
    itself."""
    if isinstance(error, VolfsError):
        return error
    if isinstance(error, OSError) and error.strerror:
        where = f"{show(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return MountError(f"{what}{where}{error.strerror}")
    if isinstance(error, MemoryError):
        return MountError(f"{what}out of memory")
    if isinstance(error, RuntimeError) and "thread" in str(error):
        return MountError(f"{what}{error}: the limit of processes is reached")
    return error
