"""Functions of the C library that Python lacks. Their errors are OSErrors."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
"""The C library. Its functions run without the interpreter's lock."""
libc.syscall.restype = ctypes.c_long

FORCE, DETACH, NO_FOLLOW = 1, 2, 8
"""Flags of umount2(2)."""
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
"""Numbers of system calls, the same on every machine."""
_CLONE, _EMPTY_PATH, _PRIVATE = 1, 0x1000, 1 << 18
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_WRITE_AND_WAIT = 7
_INODE_HANDLE = 0x81
"""The type of a file handle with an inode's number and generation, as FUSE makes it."""
_SET_NAME = 15
_POPULATE_WRITE = 23
"""Advice of madvise(2), since Linux 5.14."""


class _FileHandle(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("words", ctypes.c_uint * 3))


def call(name: str, *arguments: Any) -> int:
    """Call a function, and return its result; OSError if that is less than 0.

    Numbers that may not fit into an int must be given as their C types.
    """
    result = int(getattr(libc, name)(*arguments))
    if result < 0:
        raise last_error()
    return result


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call, for which the library may have no function, and return its result.
    OSError."""
    return call("syscall", ctypes.c_long(number), *arguments)


def last_error() -> OSError:
    """The error of the function that this thread has called last."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


# --- mounts -----------------------------------------------------------------


def mount(source: str, target: str, kind: str, flags: int, data: bytes) -> None:
    names = map(os.fsencode, (source, target, kind))
    call("mount", *names, ctypes.c_ulong(flags), data)


def unmount(path: str, flags: int) -> None:
    call("umount2", os.fsencode(path), flags)


def clone_mount(place: int) -> int:
    """Clone the mount that a descriptor is in. The clone is mounted nowhere."""
    clone = system_call(OPEN_TREE, place, b"", _EMPTY_PATH | _CLONE | os.O_CLOEXEC)
    # Mounts made in the one must not appear in the other. Kernels before 5.12 cannot do this.
    attributes = struct.pack("4Q", 0, 0, _PRIVATE, 0)
    libc.syscall(MOUNT_SETATTR, clone, b"", _EMPTY_PATH, attributes, len(attributes))
    return clone


# --- files ------------------------------------------------------------------


def sync_file_system(descriptor: int) -> None:
    """Make a whole file system durable."""
    call("syncfs", descriptor)


def write_back(descriptor: int) -> None:
    """Let the kernel write all dirty pages of a file, and wait for them."""
    call("sync_file_range", descriptor, *_whole(0, 0), _WRITE_AND_WAIT)


def reserve_room(descriptor: int, size: int) -> None:
    """Reserve blocks for a file of this size. The file does not grow."""
    call("fallocate", descriptor, _KEEP_SIZE, *_whole(0, size))


def punch_hole(descriptor: int, start: int, end: int) -> None:
    """Give blocks of a file back to the disk."""
    call("fallocate", descriptor, _KEEP_SIZE | _PUNCH_HOLE, *_whole(start, end - start))


def _whole(offset: int, length: int) -> tuple[ctypes.c_int64, ctypes.c_int64]:
    return ctypes.c_int64(offset), ctypes.c_int64(length)


def open_by_inode(root: int, number: int, flags: int) -> int:
    """Open a file of a FUSE file system by its inode number, as only root may."""
    words = (ctypes.c_uint * 3)(number >> 32, number & 0xFFFFFFFF, 0)
    handle = _FileHandle(ctypes.sizeof(words), _INODE_HANDLE, words)
    return call("open_by_handle_at", root, ctypes.byref(handle), flags)


# --- this process -----------------------------------------------------------


def name_process(name: bytes) -> None:
    """Set the name that ``ps`` shows for this process, or this thread: 15 bytes at most."""
    call("prctl", _SET_NAME, name, 0, 0, 0)


def tune_allocator(parameter: int, value: int) -> None:
    """Call mallopt(3), if the library has it."""
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)


def populate(memory: ctypes.Array[ctypes.c_ubyte], length: int) -> None:
    """Have the kernel provide the first pages of some memory now. OSError if it cannot."""
    call("madvise", ctypes.byref(memory), ctypes.c_size_t(length), _POPULATE_WRITE)
