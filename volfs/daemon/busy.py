"""Who has files of a mount open: for the message of a busy reload. Blocking, best effort."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """A process with a file of the mount open or mapped."""

    pid: int
    command: str
    path: str


def find_holders(mountpoint: str, device: tuple[int, int]) -> list[Holder]:
    """Processes that hold files below a mount point, as /proc tells us."""
    return [
        Holder(pid, _command(pid), path)
        for pid in _pids()
        if pid != os.getpid()
        for path in sorted(set(_open_paths(pid, mountpoint)) | set(_mapped_paths(pid, device)))
    ]


def describe_holders(holders: list[Holder], open_paths: list[str]) -> str:
    """``path NAME is open from 'COMMAND' (pid N)``, for up to five; else the paths we know."""
    told = [f"{h.path} is open from '{h.command}' (pid {h.pid})" for h in holders[:5]]
    if not told:
        told = [f"{path} is open" for path in open_paths[:5]]
    more = max(len(holders), len(open_paths)) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace").strip()[:80] or "?"


def _open_paths(pid: int, mountpoint: str) -> Iterator[str]:
    """Files, not directories: those do not keep a version from going."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            flags = _open_flags(pid, name)
        except OSError:
            continue
        if target.startswith(f"{mountpoint}/") and not flags & os.O_DIRECTORY:
            yield target


def _open_flags(pid: int, descriptor: str) -> int:
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return 0


def _mapped_paths(pid: int, device: tuple[int, int]) -> Iterator[str]:
    wanted = f"{device[0]:02x}:{device[1]:02x}"
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[3] == wanted:
            yield fields[5]
