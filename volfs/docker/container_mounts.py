"""Mounts for Docker's containers: each is served by a daemon of its own, which outlives the
plugin."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from volfs.containers.container import AUTO_COMMIT
from volfs.containers.launching import share_launcher
from volfs.containers.volume_mounts import mounting
from volfs.control.mount_client import MountClient
from volfs.control.mounts import find_mount_point
from volfs.control.signs import Signs
from volfs.daemon.attached import iter_sights
from volfs.daemon.mount_options import MountOptions
from volfs.docker.docker_volumes import DockerVolume
from volfs.docker.left_overlays import list_left
from volfs.errors import MountError, NoAnswerError, VolfsError

PATIENCE = 105.0
"""Seconds for a last commit. Docker waits two minutes for an answer."""
_ID_SHOWN = 12


def is_served(place: Path) -> bool:
    """Whether a living mount is at a place."""
    found = find_mount_point(os.fspath(place))
    return found is not None and MountClient(found).is_alive()


def is_seen_by_others(place: Path) -> bool:
    """Whether the mount at a place is also mounted elsewhere: in a container, or by Docker."""
    own = find_mount_point(os.fspath(place))
    if own is None:
        return False
    return any(
        mount.device == own.device and (not sight.is_ours or mount.number != own.number)
        for sight in iter_sights(own.device)
        for mount in sight.mounts
    )


def mount(known: DockerVolume, place: Path) -> None:
    """Mount a volume, and return when the mount answers. Raises what kept it from mounting.

    If a mount died there, the new one takes over its overlay.
    """
    signs = Signs(1)
    try:
        with mounting([_make_options(known, place)], signs, share_launcher(), outliving=True):
            pass
    finally:
        signs.close()


def _make_options(known: DockerVolume, place: Path) -> MountOptions:
    options = known.options
    keeps = options.commit == "always"
    return MountOptions(
        known.store,
        known.volume,
        os.fspath(place),
        read_only=options.ro,
        at=options.at or None,
        sub_path=options.sub_path or None,
        # Containers have users of their own, and the daemon of Docker is root.
        allow_other=os.geteuid() == 0,
        auto_commit=options.auto_commit if keeps else 0.0,
        auto_commit_else=AUTO_COMMIT if keeps else 0.0,
        at_end="commit" if keeps else "discard",
        message=f"docker: {known.name}, mount {place.name[:_ID_SHOWN]}",
        environment=known.environment,
    )


def end(known: DockerVolume, place: Path) -> None:
    """Commit or drop the changes of the mount at a place, and unmount it. Nothing if there is none.

    If the commit fails, the mount ends all the same, and the error says where the changes are.
    MountError if its daemon had died; NoAnswerError if the commit takes too long.
    """
    found = find_mount_point(os.fspath(place))
    if found is None:
        return
    client = MountClient(found)
    if not client.is_alive():
        # This import loads many modules of the daemon, and is seldom needed.
        from volfs.daemon.dead_mounts import clear_dead_mount

        clear_dead_mount(os.fspath(place))
        raise MountError(f"the daemon of its mount had died; {_explain_left(known, place)}")
    try:
        client.unmount(timeout=PATIENCE)
    except NoAnswerError:
        raise
    except VolfsError as error:
        with suppress(MountError):  # It may have ended by now, and the first error counts.
            client.unmount(at_end="keep", timeout=PATIENCE)
        why = _explain_left(known, place)
        raise type(error)(f"not committed: {error}; {why}") from error


def _explain_left(known: DockerVolume, place: Path) -> str:
    overlay = next(iter(list_left(known, place)), "NAME")
    return (
        "the container goes on with its changes when it is started again, or `volfs overlays "
        f"commit {overlay}` publishes them"
    )
