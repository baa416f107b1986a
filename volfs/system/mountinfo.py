"""The mounts that a process sees, as the kernel lists them. No file system is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class MountLine(NamedTuple):
    """One line of a mountinfo."""

    path: str
    device: tuple[int, int]
    fs_type: str
    source: str
    number: int
    """The kernel's number of the mount, for example in fdinfo."""
    root: str
    """The directory of the file system that is shown; ``/`` unless a bind mount shows less."""
    options: str = ""
    """The mount options, separated by commas."""
    parent: int = 0
    """The number of the mount in which it is mounted."""


def read_mount_table(process: int | str = "self") -> bytes:
    """The raw table, of which callers may parse single lines. OSError."""
    return Path(f"/proc/{process}/mountinfo").read_bytes()


def parse_mount_table(table: bytes) -> list[MountLine]:
    """Every mount, in the kernel's order: later ones lie on top."""
    return [parse_mount_line(line) for line in table.split(b"\n") if line]


def parse_mount_line(line: bytes) -> MountLine:
    """Parse one line. Names may contain any byte except NUL, whatever others have mounted."""
    fields, _, tail = line.partition(b" - ")
    parts, rest = fields.split(b" "), tail.split(b" ")
    major, minor = parts[2].split(b":")
    return MountLine(
        _unescape(parts[4]),
        (int(major), int(minor)),
        _unescape(rest[0]),
        _unescape(rest[1]),
        int(parts[0]),
        _unescape(parts[3]),
        _unescape(rest[2]) if len(rest) > 2 else "",
        int(parts[1]),
    )


def find_fs_type(path: str | os.PathLike[str]) -> str | None:
    """The type of the file system that has a path; None if the kernel does not list its device.

    OSError.
    """
    number = os.stat(path).st_dev
    device = os.major(number), os.minor(number)
    lines = (line for line in read_mount_table().split(b"\n") if b" %d:%d " % device in line)
    found = (mount.fs_type for mount in map(parse_mount_line, lines) if mount.device == device)
    return next(found, None)


def _unescape(field: bytes) -> str:
    raw = _ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), field)
    return raw.decode("utf-8", "surrogateescape")
