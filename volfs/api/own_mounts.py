"""The mount of a volume that this process sees: ``commit()`` and ``reload()`` act on it.

The kernel lists the mount in this process's mount table, whether it was mounted there, bound
there, or inherited by a container. A mount's control socket is named after its device, which is
the same in all these cases.
"""

from __future__ import annotations

from volfs.control.mount_client import MountClient, list_mounts
from volfs.control.mounts import list_mount_points, resolve_mount_path
from volfs.daemon.named_mounts import FoundMount, find_volume_mounts
from volfs.errors import NotMountedError
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store


def get_own_mount(
    store: Store, volume: VolumeRecord, verb: str, mountpoint: str | None = None
) -> MountClient:
    """The one mount of the volume, or the mount at ``mountpoint``. NotMountedError if there is
    none, or more than one; MountError."""
    found = find_own_mounts(store, volume, mountpoint)
    if len(found) == 1:
        found[0].check()
        return found[0].client
    if not found:
        where = f" at {mountpoint}" if mountpoint else ""
        raise NotMountedError(
            f"{verb}() can only be called from within a running function, or where the volume is "
            f"mounted: this process sees no mount of {volume.full_name}{where}; "
            f"`volfs mount {volume.full_name} DIRECTORY` makes one"
        )
    places = ", ".join(mount.client.mount.path for mount in found)
    raise NotMountedError(
        f"{verb}(): {volume.full_name} is mounted more than once ({places}); say which: "
        f"{verb}(mountpoint={found[-1].client.mount.path!r})"
    )


def find_own_mounts(
    store: Store, volume: VolumeRecord, mountpoint: str | None = None
) -> list[FoundMount]:
    """The living mounts of a volume that this process sees, each once; only those at
    ``mountpoint``, if it is given.

    A container sees the host's mounts, too, but only its own mounts are meant there.
    """
    of_volume = {m.client.mount.device: m for m in find_volume_mounts(store, volume)}
    mounts = [mount for mount in list_mounts() if not mount.mount.is_private]
    if mountpoint is not None:
        place = resolve_mount_path(mountpoint)
        mounts = [mount for mount in mounts if mount.mount.path == place]
    several = {mount.mount.device: mount for mount in reversed(mounts)}
    bound = {mount.device for mount in list_mount_points() if mount.is_private}
    own = [mount for mount in several.values() if mount.mount.device in bound]
    hosts = [mount for mount in several.values() if mount.mount.device not in bound]
    # If the container's own mount has died, the host's mount is not the one that the caller means.
    source = volume.full_name
    if any(mount.mount.device in of_volume or mount.mount.source == source for mount in own):
        return _choose(of_volume, own)
    return _choose(of_volume, hosts)


def _choose(
    of_volume: dict[tuple[int, int], FoundMount], mounts: list[MountClient]
) -> list[FoundMount]:
    """The living mounts of the volume among these, at the paths where this process sees them. They
    may have been mounted at other paths."""
    found = ((mount, of_volume.get(mount.mount.device)) for mount in reversed(mounts))
    return [seen._replace(client=mount) for mount, seen in found if seen and seen.session.alive]
