"""The overlays that dead mounts left: listing, adopting, committing, discarding them by name."""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import AsyncExitStack
from typing import NamedTuple

import trio

from volfs.control.mounts import find_mount_point
from volfs.daemon.exporting import Exported, export_session
from volfs.daemon.launch import clear_dead_mount
from volfs.daemon.locating import check_ours, holding_dead, located, name_here
from volfs.daemon.options import MountOptions
from volfs.daemon.rooms import NO_KERNEL, open_rooms
from volfs.daemon.session import Session, end_session, take_session
from volfs.errors import DamagedObjectError, MountError
from volfs.model.text_json import encode_json
from volfs.store.base import Store, VolumeRecord
from volfs.vfs.bases import base_gone, find_version_problem
from volfs.vfs.leftover import Leftover, inspect_overlay, read_answer
from volfs.volume.commit import CommitNote, Published
from volfs.volume.progress import Report, report_nothing
from volfs.volume.sessions import CATALOG, FACTS, SCRATCH, get_session, list_store_sessions
from volfs.volume.sessions import Session as Seen


class Overlay(NamedTuple):
    """One session as ``volfs overlays`` shows it."""

    session: Seen
    volume: VolumeRecord | None
    """None where the volume is not known or gone."""
    age: float
    """Seconds since something was recorded last."""
    left: Leftover
    lost: str = ""
    """Why what it stands on is not in the store, or nothing."""

    @property
    def state(self) -> str:
        """``alive``, ``dead``, ``stranded`` or ``damaged``: then ``problem`` says why."""
        if self.session.alive:
            return "alive"
        if self.left.problem:
            return "damaged"
        return "stranded" if self.lost else "dead"

    @property
    def problem(self) -> str:
        return self.left.problem or self.lost

    @property
    def version(self) -> int:
        """What it stands on; before anything is recorded, that is what the mount began with."""
        return self.session.base_version if self.left.version is None else self.left.version


def list_overlays(store: Store) -> list[Overlay]:
    """The overlays of all writable mounts, those that dead ones left included; oldest first.

    The process must have one thread.
    """
    sessions = [s for s in list_store_sessions(store) if not s.read_only and not _is_bare(s)]
    return [describe_session(store, session) for session in sessions]


def get_left(store: Store, name: str) -> tuple[Overlay, VolumeRecord]:
    """An overlay that a dead mount left, whole, and its volume.

    NotFoundError; MountError if it is alive; BaseGoneError, DamagedObjectError with the reason.
    """
    found = describe_session(store, get_session(store, name))
    if found.session.alive:
        raise MountError(f"{name}: mounted at {found.session.mountpoint}, by a living daemon")
    if found.left.problem or found.volume is None:
        raise DamagedObjectError(f"{name}: {found.left.problem}")
    if found.lost:
        raise base_gone(name, found.lost)
    return found, found.volume


def make_adoption(store: Store, name: str, mountpoint: str) -> MountOptions:
    """How to mount what a dead mount left at another place. As ``get_left``."""
    name = name_here(store, name)
    found, volume = get_left(store, name)
    sub_path = found.session.sub_path or None
    return MountOptions(
        store.url,
        volume.name,
        mountpoint,
        sub_path=sub_path,
        adopt=name,
        environment=volume.environment,
    )


def commit_overlay(store: Store, name: str, note: CommitNote) -> Published:
    """Publish what a dead mount left, then remove it. As ``get_left`` and ``publish_delta``.

    On any error it stays as it is.
    """
    name = name_here(store, name)
    found, volume = get_left(store, name)
    session = take_session(store, name)
    try:
        sub_path = found.session.sub_path or None
        options = MountOptions(
            store.url,
            volume.name,
            found.session.mountpoint,
            sub_path=sub_path,
            environment=volume.environment,
        )
        published = trio.run(_commit, options, store, volume, session, note)
        end_session(store, session)
        clear_mount(found.session)
        return published
    finally:
        session.close()


def discard_overlay(store: Store, name: str) -> None:
    """Remove what a dead mount left, damaged or not. NotFoundError; MountError if it lives."""
    name = check_ours(store, name)
    found = get_session(store, name)
    end_session(store, take_session(store, name))
    clear_mount(found)


def export_overlay(
    store: Store,
    name: str,
    output: str,
    *,
    force: bool = False,
    report: Report = report_nothing,
) -> Exported:
    """Write what a dead mount left to a directory, damaged or not. As ``export_session``.

    NotFoundError; MountError if it lives.
    """
    with located(store, name) as found, holding_dead(found.session):
        return export_session(store, found.session, output, force=force, report=report)


def clear_mount(session: Seen) -> None:
    """Take away the mount of the daemon that died, where it is still there.

    At its place another store's may be by now, which is dead as well.
    """
    found = find_mount_point(session.mountpoint) if session.mountpoint else None
    if found is not None and session.device in (None, found.device):
        with contextlib.suppress(MountError):
            clear_dead_mount(session.mountpoint)


# --- inside -----------------------------------------------------------------


async def _commit(
    options: MountOptions, store: Store, volume: VolumeRecord, session: Session, note: CommitNote
) -> Published:
    async with AsyncExitStack() as stack:
        committer = await open_rooms(options, stack, store, volume, session, NO_KERNEL)
        return await committer.commit(note)


def _is_bare(session: Seen) -> bool:
    """Whether a mount ended before it had anything: nothing was ever written there."""
    return not any((session.path / name).exists() for name in (FACTS, CATALOG))


def describe_session(store: Store, session: Seen) -> Overlay:
    volume = store.find_volume_by_id(session.volume_id) if session.volume_id else None
    left = _inspect(session)
    if not session.volume_id:
        problem = f"{FACTS} cannot be read; mounting the volume there again takes it over"
        left = left._replace(problem=left.problem or problem)
    elif volume is None:
        left = left._replace(problem=left.problem or "its volume is gone")
    lost = ""
    if volume and left.base and not (session.alive or left.problem or left.is_clean):
        lost = find_version_problem(store, volume.id, left.base)
    return Overlay(session, volume, _find_age(session), left, lost)


def _find_age(session: Seen) -> float:
    for path in (session.path / CATALOG / "data.mdb", session.path):
        try:
            return max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            continue
    return 0.0


def _inspect(session: Seen) -> Leftover:
    """In a child: what is damaged may kill the process that maps it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            left = inspect_overlay(session.path / CATALOG, session.path / SCRATCH)
            os.write(writer, encode_json(left))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return read_answer(answer)
