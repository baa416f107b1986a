"""System calls that Python has no function for, and errors as their names."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.forked import Forked, run_forked
from volfs.system.children import ask_child
from volfs.system.libc import call

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
_AT_FDCWD = -100


def renameat2(old: Path, new: Path, flags: int) -> None:
    arguments = (_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)
    call("renameat2", *arguments)


def list_cached_pages(path: Path) -> list[bool]:
    """Which pages of a file the kernel has in memory, as mincore(2) says."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        mapped = mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        whole = (ctypes.c_char * size).from_buffer(mapped)
        call("mincore", ctypes.byref(whole), ctypes.c_size_t(size), pages)
        del whole
        mapped.close()
    return [bool(byte & 1) for byte in pages.raw]


@contextmanager
def fails(number: int) -> Iterator[None]:
    """The block raises an OSError with just this number."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0)
        if error.errno != number:
            raise AssertionError(f"{name}: {error}") from error
    else:
        raise AssertionError(f"no {errno.errorcode[number]}")


def run_python(code: str, *arguments: object) -> str:
    """Run a program in a process of its own; what it prints. Any error fails the test."""
    done = run_forked(code, *map(str, arguments), text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_as(user: int, directory: Path, action: Callable[[], object]) -> str:
    """What ``action`` returns, as text, in a process of another user inside ``directory``.

    Relative paths only: the directories above are closed to that user.
    """

    def act() -> bytes:
        try:
            os.chdir(directory)
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            return str(action()).encode()
        except Exception as error:  # noqa: BLE001 - the parent judges
            return repr(error).encode()

    answer = ask_child(act)
    assert answer is not None
    return answer.decode()


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program; it talks through its standard input and output."""
    return Forked(
        [code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
