"""The processes that have files of a mount open, for the message of a busy reload. Blocking, best
effort.

A process may see the mount elsewhere, through a bind mount or in a container. Its open files are
found by the device, and named by their paths in the mount.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from volfs.control.mounts import MountPoint, list_mount_points
from volfs.model.text import show, show_command, to_text
from volfs.system.namespaces import find_namespace, list_pids
from volfs.system.proc import iter_mappings, read_descriptor_facts

Device = tuple[int, int]


class Holder(NamedTuple):
    """A process that has a file of the mount open or mapped."""

    pid: int
    command: str
    """The command line, ready to be shown."""
    path: str
    """The path in the mount, not yet made printable."""


class User(NamedTuple):
    """A process that keeps a mount from being unmounted."""

    pid: int
    how: str

    def __str__(self) -> str:
        return f"{self.how} {describe_process(self.pid)}"


def find_users(device: Device) -> list[User]:
    """As ``find_holders``, with processes that work in the mount, or have a directory of it
    open."""
    others = [pid for pid in list_pids() if pid != os.getpid()]
    return [User(pid, how) for pid in others for how in sorted({*_iter_uses(pid, device)})]


def _iter_uses(pid: int, device: Device) -> Iterator[str]:
    for path in (*_open_paths(pid, device, directories=True), *_mapped_paths(pid, device)):
        yield f"path {show(path or '.')} is open from"
    for link, what in (("cwd", "working"), ("root", "root")):
        try:
            path = os.readlink(f"/proc/{pid}/{link}")
        except OSError:
            continue
        place = _find_place(pid, path)
        if place is not None and place.device == device:
            yield f"path {show(inside(path, place) or '.')} is the {what} directory of"


def _find_place(pid: int, path: str) -> MountPoint | None:
    """The mount in which a path of a process lies. No file system is asked."""
    above = [
        m for m in _list_seen(pid) if path == m.path or path.startswith(f"{m.path.rstrip('/')}/")
    ]
    return max(above, key=lambda mount: len(mount.path), default=None)


def find_holders(device: Device) -> list[Holder]:
    """The processes that hold files of a mount, as /proc shows them."""
    return [
        Holder(pid, _command(pid), path)
        for pid in list_pids()
        if pid != os.getpid()
        for path in sorted({*_open_paths(pid, device), *_mapped_paths(pid, device)})
    ]


def describe_holders(holders: list[Holder], open_paths: list[str]) -> str:
    """``path NAME is open from 'COMMAND' (pid N)``, for up to five holders; else the paths we
    know."""
    told = [f"path {show(h.path)} is open from '{h.command}' (pid {h.pid})" for h in holders[:5]]
    if not told:
        told = [f"path {path} is open" for path in open_paths[:5]]
    more = max(len(holders), len(open_paths)) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _command(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "?"
    return show_command(line)[:80] or "?"


def describe_process(pid: int) -> str:
    return f"'{_command(pid)}' (pid {pid})"


def _places(pid: int, device: Device) -> dict[int, MountPoint]:
    """The places at which a process sees the mount, by the kernel's mount numbers."""
    return {m.number: m for m in _list_seen(pid) if m.device == device}


def _list_seen(pid: int) -> list[MountPoint]:
    """The mounts as /proc shows us a process's paths: those of its namespace, from our root."""
    try:
        theirs = find_namespace(pid)
        if theirs is None:
            return []
        return list_mount_points("self" if theirs == find_namespace("self") else pid)
    except OSError:
        return []


def inside(path: str, place: MountPoint) -> str:
    """The path in the mount of a path that a process sees."""
    return os.path.normpath(f"{place.root}/{path.removeprefix(place.path)}").strip("/")


def _open_paths(pid: int, device: Device, *, directories: bool = False) -> Iterator[str]:
    """Yield the paths that a process has open: files, and directories if asked. An open directory
    does not keep a reload from going on."""
    places = _places(pid, device)
    try:
        names = os.listdir(f"/proc/{pid}/fd") if places else []
    except OSError:
        return
    for name in names:
        try:
            flags, mount = _describe(pid, name)
            if mount in places and (directories or not flags & os.O_DIRECTORY):
                yield inside(os.readlink(f"/proc/{pid}/fd/{name}"), places[mount])
        except OSError:
            continue


def _describe(pid: int, descriptor: str) -> tuple[int, int]:
    """The flags of an open file, and the number of the mount that it was opened through."""
    facts = read_descriptor_facts(pid, descriptor)
    return int(facts.get("flags", "0"), 8), int(facts.get("mnt_id", "-1"))


def _mapped_paths(pid: int, device: Device) -> Iterator[str]:
    try:
        mapped = [mapping.path for mapping in iter_mappings(pid) if mapping.device == device]
    except OSError:
        return
    places = _places(pid, device) if mapped else {}
    for path in map(to_text, mapped):
        above = [p for p in places.values() if path.startswith(f"{p.path}/")]
        yield inside(path, max(above, key=lambda p: len(p.path))) if above else path
