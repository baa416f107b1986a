"""The users of a mount, which must not be unmounted under them. Blocking.

The kernel refuses to unmount if somebody uses the mount point itself. It does not refuse for other
mount points of the same mount, which are bind mounts or in other mount namespaces. These would
lead to a dead mount once the daemon has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from volfs.control.mounts import MountPoint
from volfs.daemon.attached import Sight, iter_attached, iter_sights
from volfs.daemon.busy import describe_process, find_users
from volfs.daemon.whereabouts import Whereabouts
from volfs.model.text import show
from volfs.system.namespaces import find_namespace

TOLD = 5


def find_others(place: Whereabouts) -> list[str]:
    """The users of the mount for which the kernel does not refuse to unmount it."""
    own = place.find()
    if own is not None and own.is_private:
        return []  # The mount is a container's, and its end ends its users.
    sights = [sight for sight in iter_sights(place.device) if _list_points(sight, place)]
    others = [told for sight in sights for told in _iter_others(sight, place, own)]
    elsewhere = {sight.namespace for sight in sights if not sight.is_ours}
    if elsewhere:
        users = find_users(place.device)
        others += [str(user) for user in users if find_namespace(user.pid) in elsewhere]
    return others


def find_reasons(place: Whereabouts) -> list[str]:
    """The users of the mount for which the kernel refuses to unmount it."""
    attached = [
        f"path {show(one.path or b'.')}: {one.what}"
        for sight in iter_sights(place.device)
        if sight.is_ours
        for one in iter_attached(sight, place.device)
    ]
    return [*attached, *map(str, find_users(place.device))]


def find_copies(place: Whereabouts) -> list[str]:
    """The places where an unmounted mount is still seen."""
    return [
        f"{describe_process(sight.pid)} at {show(mount.path)}"
        for sight in iter_sights(place.device)
        for mount in _list_points(sight, place)
    ]


def tell(reasons: list[str]) -> str:
    more = len(reasons) - TOLD
    return "; ".join(reasons[:TOLD]) + (f"; and {more} more" if more > 0 else "")


def _list_points(sight: Sight, place: Whereabouts) -> list[MountPoint]:
    return [mount for mount in sight.mounts if mount.device == place.device]


def _iter_others(sight: Sight, place: Whereabouts, own: MountPoint | None) -> Iterator[str]:
    """Yield the mount points that somebody has made on purpose."""
    where = "" if sight.is_ours else f" in the mount namespace of {describe_process(sight.pid)}"
    for mount in _list_points(sight, place):
        is_meant = sight.is_ours or not _is_copy(mount, own)
        if mount.number != place.number and is_meant:
            yield f"it is mounted at {show(mount.path)} as well{where}"


def _is_copy(mount: MountPoint, own: MountPoint | None) -> bool:
    """Whether a new mount namespace has copied this mount point from ours. It copies all, used or
    not.

    A process that sees our directories at another path still sees their last two names.
    """
    if own is None or mount.root != own.root:
        return False
    return Path(mount.path).parts[-2:] == Path(own.path).parts[-2:]
