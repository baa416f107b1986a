"""Mounting and unmounting, and what a daemon asks of the kernel about its mount."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyfuse3

from volfs.errors import MountError
from volfs.fuse import polling
from volfs.fuse.anchor import Anchor
from volfs.fuse.ops import Operations
from volfs.vfs.checkout import Attached, Notice
from volfs.vfs.committer import Kernel

log = logging.getLogger(__name__)

READ_AHEAD_KIB = 4096
DEVICE = Path("/dev/fuse")
_DETACH, _NO_FOLLOW = 2, 8
_SYSTEM_PATHS = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_READ_ONLY, _NO_SUID, _NO_DEVICES, _POSIX_ACL = 1, 2, 4, 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class MountRequest:
    """What is mounted where."""

    mountpoint: str
    volume: str
    read_only: bool
    allow_other: bool


def check_fuse() -> None:
    """MountError if this machine or user cannot mount, with what is missing."""
    if not DEVICE.exists():
        raise MountError(
            f"{DEVICE} is missing: load the kernel module (modprobe fuse), or "
            "start the container with --device /dev/fuse"
        )
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise MountError(f"{DEVICE}: permission denied")
    if os.geteuid() != 0:
        _get_fusermount()


def mount(operations: Operations, request: MountRequest) -> None:
    """Mount; ``pyfuse3.main`` then serves. MountError."""
    options = {
        "default_permissions",
        "nosuid",
        "nodev",
        "subtype=volfs",
        f"fsname={request.volume}",
    }
    if request.read_only:
        options.add("ro")
    if request.allow_other:
        options.add("allow_other")
    device = _mount_unmasked(request)
    place = request.mountpoint if device is None else f"/dev/fd/{device}"
    try:
        with _native_errors() as said:
            pyfuse3.init(operations, place, options)
    except RuntimeError as error:
        if device is not None:
            unmount(request.mountpoint, lazy=True)
        raise MountError(f"{request.mountpoint}: cannot mount: {said() or error}") from error
    polling.install()


def _mount_unmasked(request: MountRequest) -> int | None:
    """Mount, as root may, so that the kernel leaves the umask to us; the session's device.

    None where that is not to be had. libfuse, which has no option for it, mounts then,
    or says why nobody can (docs/decisions/0022).
    """
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    data += ",default_permissions" + ",allow_other" * request.allow_other
    flags = _NO_SUID | _NO_DEVICES | _POSIX_ACL | _READ_ONLY * request.read_only
    names = (request.volume, request.mountpoint, "fuse.volfs")
    if _libc.mount(*map(os.fsencode, names), ctypes.c_ulong(flags), data.encode()) == 0:
        return device
    os.close(device)
    return None


async def serve(requests: int = 99) -> None:
    """Serve the kernel's requests until the mount is gone, up to so many at a time."""
    await pyfuse3.main(max_tasks=requests)


def stop_serving() -> None:
    """Let ``serve`` return although the mount is still in use somewhere."""
    pyfuse3.terminate()


def close() -> None:
    """Let go of the session. It is unmounted or detached by then: its path may be another's."""
    pyfuse3.close(unmount=False)


def unmount(mountpoint: str, *, lazy: bool = False) -> bool:
    """Ask the kernel to unmount; whether it did. MountError if nobody here may ask it.

    By the system call, where we may: it needs no program, no PATH and no descriptor.
    """
    flags = _NO_FOLLOW | (_DETACH if lazy else 0)
    if _libc.umount2(os.fsencode(mountpoint), flags) == 0:
        return True
    if ctypes.get_errno() != errno.EPERM:
        return False
    command = [_get_fusermount(), "-u", *(["-z"] if lazy else []), "--", mountpoint]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise MountError(f"{mountpoint}: {command[0]}: {error.strerror}") from error
    return done.returncode == 0


def _get_fusermount() -> str:
    """Where the program is that unmounts for users other than root, whatever PATH says."""
    paths = (None, _SYSTEM_PATHS)
    found = next(filter(None, (shutil.which("fusermount3", path=path) for path in paths)), None)
    if found is None:
        raise MountError("fusermount3 is missing: install the package fuse3")
    return found


def make_kernel(anchor: Anchor, find_attached: Callable[[], list[Attached]]) -> Kernel:
    return Kernel(anchor.drain, anchor.write_back, find_attached, _forget)


def _forget(notices: list[Notice]) -> None:
    """All of them, also where the kernel refuses one. MountError: it may show what was before."""
    refused: list[OSError] = []
    for notice in notices:
        try:
            if notice.name is None:
                pyfuse3.invalidate_inode(notice.ino, attr_only=True)
            else:
                pyfuse3.invalidate_entry(notice.ino, notice.name)
        except FileNotFoundError:  # the kernel did not know it
            continue
        except OSError as error:
            refused.append(error)
    if refused:
        why = f"the kernel was not told of {len(refused)} changes: {refused[0].strerror}"
        raise MountError(f"{why}; it may show what was before them")


def raise_read_ahead(device: tuple[int, int]) -> None:
    """Let the kernel read ahead in large requests, where we may say so."""
    path = Path(f"/sys/class/bdi/{device[0]}:{device[1]}/read_ahead_kb")
    try:
        path.write_text(str(READ_AHEAD_KIB))
    except OSError as error:
        log.info("read-ahead stays as it is: %s", error)


@contextlib.contextmanager
def _native_errors() -> Iterator[Callable[[], str]]:
    """Collect what libfuse prints on the standard error, for the message."""
    saved = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    text: list[str] = []

    def said() -> str:
        return " ".join(text)

    try:
        yield said
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.set_blocking(reader, False)
        with contextlib.suppress(OSError):
            text.append(os.read(reader, 4096).decode(errors="replace").strip())
        os.close(reader)
