"""What the kernel has attached to paths of a mount, in any mount namespace. Blocking.

There are three kinds: a file system mounted on a path of the mount, a bind mount whose source is
such a path, and an overlayfs with such a path as a layer. If the path comes to mean another inode,
the kernel takes the first away, files and all, and the others show what is not there any more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from volfs.control.mounts import MountPoint, list_mount_points, list_mounts_beside
from volfs.daemon.busy import Device, describe_process, inside
from volfs.model.text import show, to_bytes
from volfs.system.namespaces import find_namespace, list_pids
from volfs.vfs.checkout_plan import Attached

_LAYERS = re.compile(r"[,:=]")


class Sight(NamedTuple):
    """The mounts that some processes see, and one of these processes."""

    pid: int
    namespace: str | None
    is_ours: bool
    """Whether this process sees them, too."""
    mounts: list[MountPoint]


def find_attached(device: Device) -> list[Attached]:
    """Everything that is attached to the mount of a device, once for each namespace."""
    return [one for sight in iter_sights(device) for one in iter_attached(sight, device)]


def iter_sights(device: Device) -> Iterator[Sight]:
    """Yield the mounts that are seen in each mount namespace with a process and a mount of the
    device, once for each root directory in it."""
    own = find_namespace("self")
    known = {_identify("self")}
    yield Sight(os.getpid(), own, True, list_mount_points())
    for pid in list_pids():
        sight = _identify(pid)
        if sight in known or sight is None:
            continue
        known.add(sight)
        try:
            yield Sight(pid, sight[0], sight[0] == own, list_mounts_beside(pid, device))
        except OSError:  # The process has ended, or is another user's.
            continue


def _identify(pid: int | str) -> tuple[str, str] | None:
    namespace = find_namespace(pid)
    try:
        return (namespace, os.readlink(f"/proc/{pid}/root")) if namespace else None
    except OSError:
        return None


def iter_attached(sight: Sight, device: Device) -> Iterator[Attached]:
    """Yield what some processes see attached to the mount of a device."""
    places = {mount.number: mount for mount in sight.mounts if mount.device == device}
    where = "" if sight.is_ours else f" in the mount namespace of {describe_process(sight.pid)}"
    for mount in sight.mounts if places else ():
        above = places.get(mount.parent)
        what = describe_mount(mount)
        if above is not None and mount.path != above.path:
            path = inside(mount.path, above)
            yield _attach(path, f"{what} is mounted at {show(mount.path)}{where}")
        if mount.number in places and mount.root != "/":
            path = mount.root.strip("/")
            yield _attach(path, f"it is bound to {show(mount.path)}{where}")
        if mount.fs_type == "overlay":
            for path in sorted(_find_layers(mount, [*places.values()])):
                yield _attach(path, f"it is a layer of the {what} at {show(mount.path)}{where}")


def find_nested(device: Device) -> list[MountPoint]:
    """The mounts that this process sees in the mount of a device. A lazy unmount takes them
    away."""
    mounts = list_mount_points()
    places = {mount.number: mount.path for mount in mounts if mount.device == device}
    return [m for m in mounts if m.parent in places and m.path != places[m.parent]]


def describe_mount(mount: MountPoint) -> str:
    return f"{show(mount.fs_type)} of {show(mount.source)}"


def _find_layers(overlay: MountPoint, places: list[MountPoint]) -> set[str]:
    """The layers of an overlayfs that are in the mount, as far as their paths show it."""
    layers = [word for word in _LAYERS.split(overlay.options) if word.startswith("/")]
    within = [(layer, p) for layer in layers for p in places if _is_in(layer, p.path)]
    return {inside(layer, place) for layer, place in within}


def _is_in(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}/")


def _attach(path: str, what: str) -> Attached:
    return Attached(to_bytes(path), what)
