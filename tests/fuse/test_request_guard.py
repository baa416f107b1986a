"""The guard around every handler: whatever is raised is an errno, and the mount lives on."""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyfuse3
import pytest
import trio

from tests.harness.calls import RENAME_EXCHANGE, fails, renameat2
from tests.harness.mounted import Mounts
from volfs.errors import StaleHandleError, StoreUnavailableError
from volfs.fuse.ops import Operations
from volfs.fuse.request_guard import guarded

UNGUARDED = {"forget", "flush"}
"""``forget`` has no answer and must not fail; ``flush`` only says that it need not be asked."""
HOOKS = {"init", "poll", "stacktrace"}
"""Of pyfuse3 itself; its own answers are right."""
HANDLERS = sorted(
    name
    for name, value in vars(pyfuse3.Operations).items()
    if inspect.isfunction(value) and name not in HOOKS and not name.startswith("_")
)

BREAK = """
from pathlib import Path
from volfs.vfs.files import Files
from volfs.vfs.namespace import Namespace

def breakable(kind, name):
    call = getattr(kind, name)
    def run(self, *arguments, **options):
        if name in broken.read_text().split():
            raise ZeroDivisionError("a bug in " + name)
        return call(self, *arguments, **options)
    setattr(kind, name, run)

broken = Path({broken!r})
for name in {names!r}:
    breakable(Namespace, name)
for name in {files!r}:
    breakable(Files, name)
"""
NAMES = ["lookup", "list_names", "make", "link", "unlink", "rmdir", "rename", "exchange"]
FILES = [
    "open", "locate", "write", "set_attributes",
    "get_xattr", "list_xattrs", "set_xattr", "remove_xattr",
]  # fmt: skip

REACHED = [
    "lookup", "readdir", "create", "mknod", "mkdir", "symlink", "link", "unlink", "rmdir",
    "rename", "open", "read", "write", "setattr", "getxattr", "listxattr", "setxattr",
    "removexattr",
]  # fmt: skip


def test_there_are_handlers() -> None:
    assert {"lookup", "read", "write", "readdir", "create", "statfs"} <= set(HANDLERS)


@pytest.mark.parametrize("name", HANDLERS)
def test_every_handler_is_ours_and_guarded(name: str) -> None:
    handler = vars(Operations)[name]
    is_guarded = handler.__code__ is guarded(handler).__code__
    assert is_guarded == (name not in UNGUARDED)


@pytest.mark.noisy("failed")
@pytest.mark.parametrize("name", [name for name in HANDLERS if name not in {"forget", "access"}])
def test_a_handler_that_fails_answers_an_errno(name: str) -> None:
    """Operations that were never initialised fail at their first look at themselves."""
    operations = object.__new__(Operations)
    handler = getattr(operations, name)
    arguments = [0] * len(inspect.signature(handler).parameters)
    with pytest.raises(pyfuse3.FUSEError) as caught:
        trio.run(handler, *arguments)
    assert caught.value.errno == (errno.ENOSYS if name == "flush" else errno.EIO)


class UnavailableOperations:
    """Operations whose store is away, and that cannot say what a handle was for."""

    def describe(self, handler: str, subject: object) -> str:
        raise StaleHandleError("not open")

    @guarded
    async def read(self, fh: int) -> None:
        raise StoreUnavailableError("the store is away")


@pytest.mark.noisy("read 7", "the store is away")
def test_an_error_that_cannot_be_described_is_an_errno_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        trio.run(UnavailableOperations().read, 7)
    assert caught.value.errno == errno.EIO
    assert "the store is away" in caplog.text


@pytest.mark.fuse
def test_bugs_are_eio_and_logged_and_the_mount_lives_on(mounts: Mounts) -> None:
    broken = mounts.directory / "broken"
    broken.touch()
    mounted = mounts.mount(prelude=BREAK.format(broken=str(broken), names=NAMES, files=FILES))
    here = mounted.path
    (here / "d").mkdir()
    (here / "f").write_bytes(b"content")
    os.setxattr(here / "f", "user.a", b"1")
    for name in ("gone", "old", "swap"):
        (here / name).touch()
    reader = os.open(here / "f", os.O_RDWR | os.O_DIRECT)
    listing = os.open(here, os.O_RDONLY)
    broken.write_text("lookup")
    with fails(errno.EIO):
        (here / "new").stat()
    # The kernel looks a name up again before it makes or replaces it.
    broken.write_text(" ".join([*NAMES, *FILES]).removeprefix("lookup"))
    for call in make_calls(here, reader, listing):
        with fails(errno.EIO):
            call()
    broken.write_text("")
    os.close(reader)
    os.close(listing)
    assert sorted(os.listdir(here)) == ["d", "f", "gone", "old", "swap"]
    assert (here / "f").read_bytes() == b"content"
    assert mounted.commit().version == 1
    text = mounted.wait_for_log("committed version 1: ")
    for name in REACHED:
        assert f"volfs.fuse.request_guard: {name}(" in text
    assert "ZeroDivisionError: a bug in write" in text
    mounts.expect("failed", "Traceback")


def make_calls(here: Path, reader: int, listing: int) -> list[Callable[[], Any]]:
    """One call for each request that a broken room has to answer."""
    return [
        lambda: os.listdir(listing),
        lambda: os.open(here / "f", os.O_RDONLY),
        lambda: os.open(here / "new", os.O_CREAT | os.O_WRONLY),
        lambda: os.mkfifo(here / "new"),
        lambda: os.mkdir(here / "new"),
        lambda: os.symlink("x", here / "new"),
        lambda: os.link(here / "f", here / "new"),
        lambda: os.unlink(here / "gone"),
        lambda: os.rmdir(here / "d"),
        lambda: os.rename(here / "old", here / "swap"),
        lambda: renameat2(here / "old", here / "swap", RENAME_EXCHANGE),
        lambda: os.pread(reader, 4096, 0),
        lambda: os.pwrite(reader, b"x", 0),
        lambda: os.chmod(here / "f", 0o600),
        lambda: os.getxattr(here / "f", "user.a"),
        lambda: os.listxattr(here / "f"),
        lambda: os.setxattr(here / "f", "user.b", b"2"),
        lambda: os.removexattr(here / "f", "user.a"),
    ]
