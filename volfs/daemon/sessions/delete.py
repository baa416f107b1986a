"""Deleting a volume together with empty overlays that dead mounts left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

from volfs.daemon.sessions.open import take_session
from volfs.daemon.sessions.opened import OpenSession, end_session
from volfs.errors import MountError, NotFoundError
from volfs.model.names import MAIN
from volfs.sessions.info import SessionInfo, list_volume_sessions
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.leftover import inspect_apart
from volfs.volume.volumes import check_deletable, delete_volume


def delete_with_overlays(
    store: Store, name: str, *, network: bool = False, environment: str = MAIN
) -> None:
    """As ``delete_volume``, but remove overlays without any change, which then do not keep the
    volume.

    They are removed only if nothing else keeps the volume.
    """
    _delete(store, [(store.refs.get_volume(name, environment), network)])


def delete_all_with_overlays(store: Store, records: Sequence[VolumeRecord]) -> None:
    """Remove volumes and network file systems, but none of them if something keeps one."""
    _delete(store, [(record, record.is_network) for record in records])


def _delete(store: Store, chosen: Sequence[tuple[VolumeRecord, bool]]) -> None:
    with ExitStack() as stack:
        clean = [pair for record, _ in chosen for pair in _take_clean(stack, store, record)]
        names = {seen.name for seen, _ in clean}
        for record, network in chosen:
            check_deletable(store, record, network=network, besides=names)
        for seen, session in clean:
            end_session(store, session)
            _clear_mount(seen)
        for record, network in chosen:
            delete_volume(store, record.name, network=network, environment=record.environment)


def _take_clean(
    stack: ExitStack, store: Store, record: VolumeRecord
) -> Iterator[tuple[SessionInfo, OpenSession]]:
    """Yield the empty overlays of dead mounts, with their locks, so that no mount can take them
    over."""
    for seen in list_volume_sessions(store, record):
        if seen.alive or seen.read_only:
            continue
        with suppress(MountError, NotFoundError):
            session = take_session(store, seen.name)
            if inspect_apart(session.path).is_clean:
                stack.callback(session.close)
                yield seen, session
            else:
                session.close()


def _clear_mount(seen: SessionInfo) -> None:
    # This import is late, because volumes are also deleted on machines without libfuse.
    from volfs.daemon.sessions.discard import clear_mount

    clear_mount(seen)
