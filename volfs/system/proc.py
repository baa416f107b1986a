"""The facts of /proc about processes, their files and the machine.

Every function asks the kernel, and no file system. OSError for a process that has ended, or that
belongs to another user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Mapping(NamedTuple):
    """A stretch of a process's memory to which a file is mapped."""

    start: int
    end: int
    device: tuple[int, int]
    inode: int
    path: bytes


def read_status(process: int | str, thread: int | None = None) -> dict[str, str]:
    """The facts in ``status`` by name, of a process or of one of its threads."""
    place = f"{process}/task/{thread}" if thread else f"{process}"
    return read_facts(f"/proc/{place}/status")


def read_descriptor_facts(process: int | str, descriptor: int | str) -> dict[str, str]:
    """The facts in ``fdinfo`` by name, about a descriptor of a process."""
    return read_facts(f"/proc/{process}/fdinfo/{descriptor}")


def read_facts(path: str) -> dict[str, str]:
    """Parse a file of lines like ``name: value``."""
    lines = Path(path).read_text(errors="replace").split("\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def read_mount_number(descriptor: int) -> int:
    """The kernel's number of the mount point that a descriptor of ours was opened through."""
    return int(read_descriptor_facts("self", descriptor)["mnt_id"])


STOPPED, DEAD, ASLEEP = ("T", "t"), ("Z", "X"), "D"
"""The letters of process states. No signal wakes a process that is asleep."""
STAT_STATE, STAT_ARGUMENTS, STAT_ARGUMENTS_END = 3, 48, 49
"""The numbers of fields in ``stat``, as in proc(5)."""


def read_stat(process: int | str, thread: int | None = None) -> dict[int, bytes]:
    """The fields of ``stat`` from the third one on, by number. The second one may contain
    anything."""
    place = f"{process}/task/{thread}" if thread else f"{process}"
    fields = Path(f"/proc/{place}/stat").read_bytes().rpartition(b")")[2].split()
    return dict(enumerate(fields, 3))


def find_state(process: int | str, thread: int | None = None) -> str:
    """The letter of a process's state; empty if there is no such process, or we may not look."""
    try:
        return read_stat(process, thread)[STAT_STATE].decode()
    except (OSError, KeyError):
        return ""


def list_threads(process: int | str = "self") -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{process}/task")]


def list_descriptors() -> list[int]:
    """The open descriptors of this process, and one that is closed by now: that of the listing
    itself."""
    return sorted(int(name) for name in os.listdir("/proc/self/fd"))


def iter_mappings(process: int | str = "self") -> Iterator[Mapping]:
    """The files that a process has mapped."""
    for line in Path(f"/proc/{process}/maps").read_bytes().split(b"\n"):
        fields = line.split(None, 5)
        if len(fields) == 6:  # Otherwise the memory belongs to no file.
            start, end = (int(address, 16) for address in fields[0].split(b"-"))
            major, minor = (int(number, 16) for number in fields[3].split(b":"))
            yield Mapping(start, end, (major, minor), int(fields[4]), fields[5])


def read_boot_id() -> bytes:
    """The kernel's id of this run of the machine: a UUID and a line's end."""
    return _BOOT_ID.read_bytes()
