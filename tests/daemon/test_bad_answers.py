"""What one client asks, or one task fails with, never ends a daemon."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.control import protocol
from volfs.control.mount_client import MountClient
from volfs.control.protocol import encode
from volfs.errors import MountError, VolfsError, VolumeBusyError

pytestmark = pytest.mark.fuse

BREAK = """
import logging
from pathlib import Path
from volfs.daemon import mount_control
from volfs.daemon.mount_control import MountControl
from volfs.errors import MountError
from volfs.vfs.committer import Committer
from volfs.vfs.flusher import Flusher

class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError

class MuteMountError(MountError):
    __str__ = Mute.__str__

class Odd:
    __repr__ = __str__ = Mute.__str__

def deep():
    deep()

def fail(what):
    match what:
        case "bug": 1 / 0
        case "system": raise OSError(5, "caf\\udce9", "\\udcff\\n")
        case "surrogate": raise MountError("caf\\udce9 \\ud800 \\x1b[2J")
        case "mute": raise Mute
        case "mute-ours": raise MuteMountError
        case "deep": deep()
        case "memory": raise MemoryError
        case "group": raise ExceptionGroup("several", [Mute(), ValueError("x")])
        case "long": raise MountError("x" * 2_000_000)
        case "stop": raise StopIteration
        case "stop-async": raise StopAsyncIteration

broken = Path({broken!r})

def breakable(kind, name):
    call = getattr(kind, name)
    async def run(self, *arguments, **options):
        if name in (said := broken.read_text().split()):
            fail(said[-1])
            return Odd() if said[-1] == "odd" else call
        return await call(self, *arguments, **options)
    setattr(kind, name, run)

for name in ("handle",):
    breakable(MountControl, name)
breakable(Flusher, "flush")
for name in ("settle_lease", "commit", "settle"):
    breakable(Committer, name)
"""
KINDS = ["bug", "system", "surrogate", "mute", "mute-ours", "deep", "memory", "group", "long"]
KINDS += ["stop", "stop-async"]
VERBS = ["status", "commit", "reload", "renew", "unmount", "nonsense"]


class Breakable:
    """A mount in whose daemon something fails as the test says."""

    def __init__(self, mounts: Mounts, **options: Any) -> None:
        self._file = mounts.directory / "broken"
        self._file.touch()
        mounts.expect("control", "flush", "recorded", "lease", "commit", "at the end", "Traceback")
        self.mounted = mounts.mount(prelude=BREAK.format(broken=str(self._file)), **options)

    def break_(self, *names: str) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(" ".join(names))
        new.rename(self._file)

    def mend(self) -> None:
        self.break_()


@pytest.fixture
def breakable(mounts: Mounts) -> Iterator[Breakable]:
    found = Breakable(mounts)
    try:
        yield found
    finally:
        found.mend()


def ask(mounted: Mounted, verb: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(os.fspath(mounted.client.mount.socket))
        connection.sendall(encode(protocol.Request(verb)))
        return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def test_an_answer_that_fails_is_an_error_for_who_asked(breakable: Breakable) -> None:
    mounted = breakable.mounted
    for kind in (*KINDS, "odd", "function"):
        breakable.break_("handle", kind)
        for verb in VERBS:
            answer = protocol.decode_answer(ask(mounted, verb)[4:])
            assert answer.error is not None, (verb, kind)
            assert len(answer.error.message) <= protocol.MESSAGE_MAX + 100
    breakable.mend()
    assert mounted.status().pid == mounted.pid


@pytest.mark.parametrize("kind", ["system", "mute", "deep", "group"])
def test_background_work_that_fails_is_done_later(mounts: Mounts, kind: str) -> None:
    breakable = Breakable(mounts, auto_commit=0.05)
    mounted = breakable.mounted
    breakable.break_("flush", "settle_lease", "commit", kind)
    (mounted.path / "f").write_bytes(b"content")
    wait_until(lambda: "background commit" in mounted.log.read_text(), "a background commit")
    wait_until(lambda: "overlay not recorded" in mounted.log.read_text(), "a background flush")
    with pytest.raises(VolfsError):
        mounted.commit()
    with pytest.raises(VolfsError):
        mounted.unmount()
    breakable.mend()
    wait_until(lambda: mounts.version == 1, "the commit")
    assert mounted.status().pid == mounted.pid


@pytest.mark.parametrize("kind", ["bug", "mute-ours", "memory"])
def test_an_end_that_fails_leaves_the_overlay_and_no_dead_mount(mounts: Mounts, kind: str) -> None:
    breakable = Breakable(mounts)
    mounted = breakable.mounted
    (mounted.path / "f").write_bytes(b"content")
    os.sync()
    with (mounted.path / "f").open("rb") as file:
        os.fsync(file.fileno())
    breakable.break_("flush", "commit", kind)
    mounted.signal(15)
    mounted.wait_for_end()
    assert not mounted.is_mounted
    assert len(mounts.sessions) == 1
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == b"content"
    assert again.commit().version == 1


def test_clients_that_reset_in_the_middle(mounted: Mounted) -> None:
    (mounted.path / "f").touch()
    body = encode(protocol.Request("status"))
    for cut in (0, 1, 3, 4, 5, len(body) - 1, len(body)):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(mounted.client.mount.socket))
            connection.sendall(body[:cut])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert mounted.status().pid == mounted.pid


def test_no_descriptor_is_free_for_a_while(mounts: Mounts) -> None:
    mounts.expect("accepting control requests", "Traceback")
    mounted = mounts.mount()
    usual = resource.prlimit(mounted.pid, resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir(f"/proc/{mounted.pid}/fd"))) + 1
    resource.prlimit(mounted.pid, resource.RLIMIT_NOFILE, (used, usual[1]))
    with ExitStack() as stack:
        waiting = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(30)]
        for connection in waiting:
            connection.connect(os.fspath(mounted.client.mount.socket))
        wait_until(lambda: "accepting" in mounted.log.read_text(), "it to run out")
        resource.prlimit(mounted.pid, resource.RLIMIT_NOFILE, usual)
        assert mounted.status().pid == mounted.pid
    text = mounted.log.read_text()
    assert text.count("accepting control requests") < 10, "it is said once, not each time"


def test_an_answer_that_is_too_large(mounts: Mounts) -> None:
    prelude = "from volfs.control import protocol; protocol.ANSWER_MAX = 10_000"
    mounted = mounts.mount(prelude=f"{prelude}; protocol.MESSAGE_MAX = 9_000")
    names = [f"{number}{'n' * 200}" for number in range(100)]
    other = mounts.mount()
    for mount in (mounted, other):
        for name in names:
            (mount.path / name).write_bytes(os.urandom(8))
    mounts.expect("overrides")
    assert other.commit().version == 1
    with pytest.raises(MountError, match="too large"):
        mounted.commit()
    assert mounts.version == 2
    assert mounted.status().head == 2


LOGS = """
import logging, logging.handlers
def emit(self, record):
    raise {error}
logging.handlers.RotatingFileHandler.emit = emit
logging.StreamHandler.emit = emit
"""


@pytest.mark.parametrize(
    "error",
    [
        "OSError(28, 'No space left on device')",
        "UnicodeEncodeError('ascii', 'x', 0, 1, 'y')",
        "RecursionError()",
        "MemoryError()",
        "ValueError('I/O operation on closed file')",
    ],
)
def test_a_log_that_fails(mounts: Mounts, error: str) -> None:
    mounted = mounts.mount(prelude=LOGS.format(error=error))
    (mounted.path / "f").write_bytes(b"x")
    assert mounted.commit().version == 1
    assert mounted.status().pid == mounted.pid
    mounted.unmount()


def test_a_kernel_that_is_not_told_is_said_and_the_mount_lives_on(mounts: Mounts) -> None:
    mounts.expect("reload", "Traceback")
    prelude = (
        "import pyfuse3\n"
        "def refuse(*arguments, **options): raise OSError(12, 'Cannot allocate memory')\n"
        "pyfuse3.invalidate_inode = pyfuse3.invalidate_entry = refuse\n"
    )
    mounted, other = mounts.mount(prelude=prelude), mounts.mount()
    (mounted.path / "f").write_bytes(b"one")
    mounted.commit()
    other.reload()
    (other.path / "f").write_bytes(b"two")
    other.commit()
    with pytest.raises(MountError, match=r"not told.*Cannot allocate memory"):
        mounted.reload()
    assert mounted.status().version == 2
    assert (mounted.path / "f").stat()


NAMES = [b"caf\xe9", b"a\nb", b"\x1b[2J", b"\xff" * 255, b"\\xe9", "\u202e\u2028".encode(), b"a\rb"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_busy_files_of_any_name(mounts: Mounts, name: bytes) -> None:
    mounted, other = mounts.mount(), mounts.mount()
    path = os.path.join(os.fsencode(mounted.path), name)
    Path(os.fsdecode(path)).write_bytes(b"x")
    mounted.commit()
    other.reload()
    (other.path / "g").touch()
    other.commit()
    # Held by a process whose command line is as odd as the name.
    program = "import sys, mmap; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=1)"
    program += "; print('x', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(VolumeBusyError) as caught:
            mounted.reload()
        assert str(caught.value).isprintable()
        assert str(holder.pid) in str(caught.value)
        client: MountClient = mounted.client
        assert client.status().open_files == 1
        assert holder.stdin is not None
        holder.stdin.close()
    assert mounted.reload(wait=10).version == 2
