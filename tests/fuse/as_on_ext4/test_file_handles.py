"""File handles open a file as on ext4, also after the kernel has forgotten it."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.fuse.as_on_ext4.users import libc
from tests.harness.calls import fails
from tests.harness.mounted import Mounts
from volfs.control.mount_client import get_mount

pytestmark = pytest.mark.fuse


class FileHandle(ctypes.Structure):
    _fields_ = [
        ("bytes", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("data", ctypes.c_ubyte * 128),
    ]


def make_handle(path: Path) -> FileHandle:
    """name_to_handle_at(2): what an NFS server gives its clients."""
    handle, mount = FileHandle(bytes=128), ctypes.c_int()
    arguments = (-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    assert libc.name_to_handle_at(*arguments) == 0, os.strerror(ctypes.get_errno())
    return handle


def open_handle(near: Path, handle: FileHandle) -> int:
    directory = os.open(near, os.O_RDONLY)
    try:
        descriptor = libc.open_by_handle_at(directory, ctypes.byref(handle), os.O_RDONLY)
    finally:
        os.close(directory)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return int(descriptor)


def read_handle(near: Path, handle: FileHandle) -> bytes:
    descriptor = open_handle(near, handle)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def test_file_handles_open_what_the_kernel_has_forgotten(mounts: Mounts) -> None:
    here = mounts.mount().path
    (here / "d/e").mkdir(parents=True)
    (here / "d/e/f").write_bytes(b"f")
    (here / "tmp").write_bytes(b"renamed")
    (here / "tmp").rename(here / "d/new")
    os.link(here / "d/e/f", here / "link")
    wanted = {"d/e/f": b"f", "d/new": b"renamed", "link": b"f"}
    handles = {name: make_handle(here / name) for name in wanted}
    directory = make_handle(here / "d/e")
    for step in ("loaded", "committed", "forgotten", "moved"):
        if step == "committed":
            subprocess.run(["sync"], check=True)
            get_mount(str(here)).commit()
        elif step == "moved":
            (here / "d").rename(here / "moved")
        if step != "loaded":
            Path("/proc/sys/vm/drop_caches").write_text("2")
        assert {name: read_handle(here, h) for name, h in handles.items()} == wanted, step
        descriptor = open_handle(here, directory)
        assert os.listdir(descriptor) == ["f"]
        os.close(descriptor)
    (here / "moved/new").unlink()
    with fails(errno.ESTALE):
        open_handle(here, handles["d/new"])
