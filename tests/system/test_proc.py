"""What /proc tells, whatever processes, files and mounts are called."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.system.children import ask_child
from volfs.system.credentials import find_credentials
from volfs.system.libc import name_process
from volfs.system.mountinfo import (
    find_fs_type,
    parse_mount_line,
    parse_mount_table,
    read_mount_table,
)
from volfs.system.proc import (
    STAT_STATE,
    find_state,
    iter_mappings,
    list_descriptors,
    list_threads,
    read_boot_id,
    read_mount_number,
    read_stat,
    read_status,
)

NAMES = [b"a) Z 1 (", b"x\nState:\tZ", b"\x0bUid:\t0 0 0 0", b"\xff\xfe", b"", b") ) )"]


@pytest.mark.parametrize("name", NAMES)
def test_a_process_may_be_called_anything(name: bytes) -> None:
    def look() -> bytes:
        os.setresuid(1234, 1234, 1234)
        name_process(name)
        status, credentials = read_status("self"), find_credentials(os.getpid())
        found = (read_stat("self")[STAT_STATE], status["State"][:1], status["Uid"].split()[0])
        return repr((*found, credentials.user, find_state("self"))).encode()

    assert ask_child(look) == repr((b"R", "R", "1234", 1234, "R")).encode()


def test_the_state_of_a_process() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        assert find_state(child.pid) in ("R", "S", "D")
        assert find_state(child.pid, child.pid) in ("R", "S", "D")
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert find_state(child.pid) == "T"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert find_state(child.pid) == "Z"
    finally:
        child.kill()
        child.wait()
    assert find_state(child.pid) == ""
    with pytest.raises(FileNotFoundError):
        read_status(child.pid)


def test_what_this_process_has_open(tmp_path: Path) -> None:
    path = tmp_path / "a name with spaces (deleted)"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert file.fileno() in list_descriptors()
        status = os.fstat(file.fileno())
        (found,) = (one for one in iter_mappings() if one.inode == status.st_ino)
        assert found.path == os.fsencode(path)
        assert found.end - found.start == mmap.PAGESIZE
        assert found.device == (os.major(status.st_dev), os.minor(status.st_dev))
        number = read_mount_number(file.fileno())
        (mount,) = (m for m in parse_mount_table(read_mount_table()) if m.number == number)
        assert str(path).startswith(mount.path)
    assert os.getpid() in list_threads()
    assert len(read_boot_id().strip()) == 36


# --- mounts -------------------------------------------------------------------

NAME = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)


def escape(name: bytes) -> bytes:
    """As the kernel does: white space, backslashes, and what it likes besides."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in name)


@given(NAME, NAME, NAME)
def test_a_mount_may_be_called_anything(path: bytes, source: bytes, options: bytes) -> None:
    names = [escape(name) for name in (path, source, options)]
    line = b"36 35 98:0 /mnt1 %s rw,noatime master:1 shared:2 - ext3 %s %s" % tuple(names)
    (mount,) = parse_mount_table(line + b"\n")
    assert mount == parse_mount_line(line)
    assert mount.path.encode("utf-8", "surrogateescape") == path
    assert mount.source.encode("utf-8", "surrogateescape") == source
    assert mount.options.encode("utf-8", "surrogateescape") == options
    assert (mount.number, mount.parent, mount.device, mount.fs_type) == (36, 35, (98, 0), "ext3")


def test_the_type_of_a_file_system(tmp_path: Path) -> None:
    assert find_fs_type("/proc") == "proc"
    assert find_fs_type(tmp_path)
    with pytest.raises(FileNotFoundError):
        find_fs_type(tmp_path / "none")
