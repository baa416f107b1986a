"""Who has files of a mount open: for the message of a busy reload. Blocking, best effort.

A process may see the mount elsewhere, through a bind mount or in a container:
what it has open is told by the device, and named by its path in the mount.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from volfs.control.mounts import MountPoint, list_mount_points
from volfs.model.text import show, show_command, to_text

Device = tuple[int, int]


class Holder(NamedTuple):
    """A process with a file of the mount open or mapped."""

    pid: int
    command: str
    """As it is shown."""
    path: str
    """As it is."""


def find_holders(device: Device) -> list[Holder]:
    """Processes that hold files of a mount, as /proc tells us."""
    return [
        Holder(pid, _command(pid), path)
        for pid in list_pids()
        if pid != os.getpid()
        for path in sorted({*_open_paths(pid, device), *_mapped_paths(pid, device)})
    ]


def describe_holders(holders: list[Holder], open_paths: list[str]) -> str:
    """``path NAME is open from 'COMMAND' (pid N)``, for up to five; else the paths we know."""
    told = [f"path {show(h.path)} is open from '{h.command}' (pid {h.pid})" for h in holders[:5]]
    if not told:
        told = [f"path {path} is open" for path in open_paths[:5]]
    more = max(len(holders), len(open_paths)) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def list_pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _command(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "?"
    return show_command(line)[:80] or "?"


def describe_process(pid: int) -> str:
    return f"'{_command(pid)}' (pid {pid})"


def _places(pid: int, device: Device) -> dict[int, MountPoint]:
    """Where a process sees the mount, by the kernel's numbers."""
    try:
        return {m.number: m for m in list_mount_points(pid) if m.device == device}
    except OSError:
        return {}


def inside(path: str, place: MountPoint) -> str:
    """A path that a process sees, as one in the mount."""
    return os.path.normpath(f"{place.root}/{path.removeprefix(place.path)}").strip("/")


def _open_paths(pid: int, device: Device) -> Iterator[str]:
    """Files, not directories: those do not keep a version from going."""
    places = _places(pid, device)
    try:
        names = os.listdir(f"/proc/{pid}/fd") if places else []
    except OSError:
        return
    for name in names:
        try:
            flags, mount = _describe(pid, name)
            if mount in places and not flags & os.O_DIRECTORY:
                yield inside(os.readlink(f"/proc/{pid}/fd/{name}"), places[mount])
        except OSError:
            continue


def _describe(pid: int, descriptor: str) -> tuple[int, int]:
    """The flags of an open file, and the number of the mount that it was opened through."""
    lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_bytes().split(b"\n")
    facts = dict(line.split(b":", 1) for line in lines if b":" in line)
    return int(facts.get(b"flags", b"0"), 8), int(facts.get(b"mnt_id", b"-1"))


def _mapped_paths(pid: int, device: Device) -> Iterator[str]:
    wanted = f"{device[0]:02x}:{device[1]:02x}".encode()
    try:
        lines = Path(f"/proc/{pid}/maps").read_bytes().split(b"\n")
    except OSError:
        return
    mapped = [fields[5] for line in lines if (fields := line.split(None, 5))[3:4] == [wanted]]
    places = _places(pid, device) if mapped else {}
    for path in map(to_text, mapped):
        above = [p for p in places.values() if path.startswith(f"{p.path}/")]
        yield inside(path, max(above, key=lambda p: len(p.path))) if above else path
