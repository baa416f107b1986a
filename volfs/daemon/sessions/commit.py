"""Publishing what a dead mount left, without a mount, or the options to mount it elsewhere."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio

from volfs.daemon.assemble import NO_KERNEL, open_rooms
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.sessions.discard import clear_mount
from volfs.daemon.sessions.inspect import get_left
from volfs.daemon.sessions.locate import name_here
from volfs.daemon.sessions.open import take_session
from volfs.daemon.sessions.opened import OpenSession, end_session
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, Published


def make_adoption(store: Store, name: str, mountpoint: str) -> MountOptions:
    """The options that mount what a dead mount left at another place. The errors of
    ``get_left``."""
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
    """Publish what a dead mount left, then remove it. The errors of ``get_left`` and
    ``commit_delta``.

    On any error the overlay stays as it is.
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


async def _commit(
    options: MountOptions,
    store: Store,
    volume: VolumeRecord,
    session: OpenSession,
    note: CommitNote,
) -> Published:
    async with AsyncExitStack() as stack:
        committer = await open_rooms(options, stack, store, volume, session, NO_KERNEL)
        return await committer.commit(note)
