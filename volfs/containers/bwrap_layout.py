"""What a container sees, as arguments of bwrap: the host's files, and other files shown among
them.

This module is PURE: it asks the host through ``Host``. If a mount point does not exist, the
nearest directory above it becomes a *skeleton* in the container: an empty directory in memory with
the host's entries bound into it, so that nothing is made on the host.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from volfs.errors import MountError

EMPTY = ""
"""The source that means a new directory in memory."""
ARGUMENTS_MAX = 8500
"""The most arguments that we pass; bwrap takes 9000."""
HostFileType = Literal["directory", "link", "other"]


class Host(Protocol):
    """The file system that the container is to see."""

    def resolve(self, path: str) -> str:
        """The path without symbolic links, as far as it exists."""

    def find_type(self, path: str) -> HostFileType | None: ...
    def list_names(self, path: str) -> list[str]: ...
    def read_link(self, path: str) -> str: ...
    def read_mode(self, path: str) -> int: ...


class Shown(NamedTuple):
    """A directory or file of the host that the container sees at ``path``."""

    source: str
    path: str
    read_only: bool = False
    is_directory: bool = True


def layout(host: Host, shown: Sequence[Shown]) -> list[str]:
    """The arguments of bwrap. MountError for a mount point that is not possible."""
    shown = resolve_paths(host, shown)
    bases = [_find_base(host, item, shown) for item in shown]
    for item, base in zip(shown, bases, strict=True):
        _check_inside(host, item, base, shown)
    skeletons = {base for item, base in zip(shown, bases, strict=True) if base != item.path}
    arguments = ["--dev-bind", "/", "/"]
    # A skeleton above another comes first, because it shows the host's directory of the other's
    # name.
    for path in sorted(skeletons - {item.path for item in shown}, key=_depth):
        arguments += _iter_skeleton(host, path)
    for item, base in zip(shown, bases, strict=True):
        arguments += _iter_show(item, base)
    if len(arguments) > ARGUMENTS_MAX:
        paths = ", ".join(sorted(item.path for item in shown))
        raise MountError(f"{paths}: not there, in a directory with too many entries; make it first")
    return arguments


def resolve_paths(host: Host, shown: Iterable[Shown]) -> list[Shown]:
    """The items with their paths resolved, outer ones first. Below another item, the host's
    symbolic links do not count."""
    resolved: dict[str, str] = {}
    items: list[Shown] = []
    for item in sorted(shown, key=lambda item: _depth(item.path)):
        outer = next((path for path in _iter_above(item.path) if path in resolved), None)
        if outer is None:
            path = host.resolve(item.path)
        else:
            path = resolved[outer] + item.path[len(outer) :]
        resolved[item.path] = path
        items.append(item._replace(path=path))
    _check_places(items)
    return sorted(items, key=lambda item: _depth(item.path))


def _check_places(items: list[Shown]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.path in seen:
            raise MountError(f"{item.path}: more than one is to be mounted there")
        if item.path == "/" or f"{item.path}/".startswith(("/proc/", "/dev/", "/sys/")):
            raise MountError(f"{item.path}: nothing can be mounted there")
        seen.add(item.path)


def _find_base(host: Host, item: Shown, shown: Sequence[Shown]) -> str:
    """The existing path to mount on or in: the mount point, or the nearest directory above it."""
    places = {other.path for other in shown}
    for path in _iter_above(item.path):
        if path in places:
            return path
    for path in (item.path, *_iter_above(item.path)):
        found = host.find_type(path)
        if found is not None:
            wanted = item.is_directory or path != item.path
            if (found == "directory") != wanted:
                raise MountError(f"{path}: {'not a' if wanted else 'a'} directory")
            return path
    return "/"


def _check_inside(host: Host, item: Shown, base: str, shown: Sequence[Shown]) -> None:
    """Raise MountError if the item that contains this one cannot have its mount point."""
    outer = next((one for one in shown if one.path == base and one is not item), None)
    if outer is None or outer.source == EMPTY:
        return
    found = host.find_type(outer.source + item.path[len(base) :])
    if found is None and outer.read_only:
        raise MountError(f"{item.path}: not there, and what is mounted at {base} is read-only")
    if found is not None and (found == "directory") != item.is_directory:
        raise MountError(f"{item.path}: {'not a' if item.is_directory else 'a'} directory")


def _iter_skeleton(host: Host, path: str) -> Iterator[str]:
    yield from ("--perms", f"{host.read_mode(path):04o}", "--tmpfs", path)
    for name in host.list_names(path):
        child = posixpath.join(path, name)
        match host.find_type(child):
            case None:
                continue
            case "link":
                yield from ("--symlink", host.read_link(child), child)
            case _:
                yield from ("--dev-bind-try", child, child)


def _iter_show(item: Shown, base: str) -> Iterator[str]:
    between = [path for path in _iter_above(item.path) if len(path) > len(base)]
    if item.is_directory and base != item.path:
        between.insert(0, item.path)
    for path in reversed(between):
        yield from ("--perms", "0755", "--dir", path)
    if item.source == EMPTY:
        yield from ("--perms", "0755", "--tmpfs", item.path)
        return
    yield from ("--ro-bind" if item.read_only else "--bind", item.source, item.path)


def _iter_above(path: str) -> Iterator[str]:
    """The directories above a path, the nearest first."""
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def _depth(path: str) -> tuple[int, str]:
    return path.count("/") if path != "/" else 0, path
