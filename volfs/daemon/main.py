"""One mount from beginning to end: build its parts, serve, commit, close.

This runs after daemonising, because LMDB environments must not cross a fork.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import trio

from volfs.control.mount_liveness import is_dead
from volfs.control.mounts import FS_TYPE, find_mount_point
from volfs.daemon.assemble import NO_KERNEL, choose_auto_commit, open_rooms
from volfs.daemon.attached import find_attached
from volfs.daemon.ending import Ending
from volfs.daemon.mount_control import MountControl
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.serving import Served, serve_mount
from volfs.daemon.sessions.carry import carry_over
from volfs.daemon.sessions.open import open_session
from volfs.daemon.sessions.opened import OpenSession, SessionBusyError, end_session
from volfs.daemon.task_guard import log_error, surviving, to_own
from volfs.daemon.version_hook import VersionHook
from volfs.daemon.whereabouts import Whereabouts
from volfs.fuse.mounting import make_kernel
from volfs.fuse.network_ops import NetworkOperations
from volfs.fuse.ops import Operations
from volfs.sessions.device import identify_session
from volfs.sessions.places import session_name
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.vfs.committer import Committer
from volfs.vfs.sharing import Sharing
from volfs.vfs.state import MountState
from volfs.volume.commit import CommitNote
from volfs.volume.expire import thin_history

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 1.0
REQUESTS, NETWORK_REQUESTS = 99, 2000
"""The most requests at a time. A program that closes a file of a network file system waits for a
commit, and the requests that the commit makes of the mount must not wait for that program."""
THIN_EVERY = 256
"""Commits between two removals of old versions."""
LAST_COMMIT = 60.0
"""Seconds for which a mount waits for the last commit of the mount before it."""
LOOK_AGAIN = 0.05


class ServedVolume(Served):
    """The mount of a volume."""

    service: MountControl

    def __init__(
        self,
        options: MountOptions,
        session: OpenSession,
        committer: Committer,
        operations: Operations,
        service: MountControl,
    ) -> None:
        super().__init__(options, operations, service)
        self.service = service
        self.session = session
        self.committer = committer
        if service.follows:
            self.requests = NETWORK_REQUESTS

    @property
    def state(self) -> MountState:
        return self.committer.state

    @property
    def source(self) -> str:
        return self.committer.volume.full_name

    @property
    def is_read_only(self) -> bool:
        return self.state.read_only

    def drop_new(self) -> None:
        if self.session.is_new:
            end_session(self.committer.store, self.session)

    def note_device(self, device: tuple[int, int]) -> None:
        self.session.write_device(device, self.committer.store)

    def start_background(self, nursery: trio.Nursery) -> None:
        if isinstance(self.operations, NetworkOperations):
            nursery.start_soon(_share_now_and_then, self.committer, self.operations.sharing)
            if command := self.options.on_version:
                hook = VersionHook(command, self.options.mountpoint)
                nursery.start_soon(hook.run_always, self.committer)
            return
        if self.committer.flusher.catalog is not None:
            nursery.start_soon(_flush_now_and_then, self.committer)
        else:
            nursery.start_soon(_settle_now_and_then, self.committer)
        if self.service.auto_commit:
            nursery.start_soon(_commit_now_and_then, self.service, self.service.auto_commit)

    async def finish(self) -> None:
        await _finish(self)


async def run(options: MountOptions, ending: Ending, ready: Callable[[], None]) -> None:
    """Mount, call ``ready`` when the mount answers, and serve until the mount is gone.

    Raises before ``ready`` is called if the mount cannot be made.
    """
    ending.begin()
    async with AsyncExitStack() as stack:
        if options.bucket is not None:
            from volfs.daemon.buckets.mount import build_bucket

            served: Served = await build_bucket(options, options.bucket, stack)
        else:
            served = await _build(options, stack)
        await serve_mount(served, stack, ending, ready)


# --- building ---------------------------------------------------------------


async def _build(options: MountOptions, stack: AsyncExitStack) -> ServedVolume:
    store = open_store(options.store)
    stack.callback(store.close)
    volume = store.refs.get_volume(options.volume, options.environment)
    carry_over(store, volume, options)
    session = await await_session(store, volume, options)
    stack.callback(session.close)
    if not options.is_read_only:
        session.note_place()
    with _unless_new(store, session):
        place = Whereabouts(options.mountpoint)
        kernel = make_kernel(place.anchor, lambda: find_attached(place.device))
        committer = await open_rooms(options, stack, store, volume, session, kernel)
        return _wire(options, session, committer, place)


async def await_session(store: Store, volume: VolumeRecord, options: MountOptions) -> OpenSession:
    """As ``open_session``, but wait while the former daemon at that place may be in its last
    commit."""
    deadline = trio.current_time() + LAST_COMMIT
    while True:
        try:
            return open_session(store, volume, options)
        except SessionBusyError:
            found = find_mount_point(options.mountpoint)
            is_mounted = found is not None and found.fs_type == FS_TYPE and not is_dead(found)
            if is_mounted or options.adopt is not None or trio.current_time() > deadline:
                raise
        await trio.sleep(LOOK_AGAIN)


@contextmanager
def _unless_new(store: Store, session: OpenSession) -> Iterator[None]:
    """Remove a new session if the block fails, because nothing was written yet."""
    try:
        yield
    except BaseException:
        if session.is_new:
            end_session(store, session)
        raise


def _wire(
    options: MountOptions, session: OpenSession, committer: Committer, place: Whereabouts
) -> ServedVolume:
    follows = committer.state.follows
    auto_commit = choose_auto_commit(options, committer.volume)
    if follows and not committer.state.read_only:
        auto_commit = FLUSH_INTERVAL

    async def sync_root() -> None:
        if auto_commit:
            await service.commit(CommitNote(options.message or "sync", auto=True))

    if follows:
        operations: Operations = NetworkOperations(committer, sync_root)
    else:
        operations = Operations(
            committer.state,
            committer.bridge,
            committer,
            sync_root,
            committer.store.care.find_space,
        )
    service = MountControl(
        committer,
        operations,
        place,
        auto_commit=auto_commit,
        at_end=options.at_end,
        pinned=options.at is not None,
        session=identify_session(session.path),
        find_overlay=session.find_place,
        message=options.message,
    )
    return ServedVolume(options, session, committer, operations, service)


# --- in the background ------------------------------------------------------


async def _flush_now_and_then(committer: Committer) -> None:
    settled = -math.inf
    while True:
        await trio.sleep(FLUSH_INTERVAL)
        with surviving("overlay not recorded"):
            await committer.flusher.flush()
        if trio.current_time() >= settled + committer.store.leases.pause:
            with surviving("lease"):
                await committer.settle_lease()
            settled = trio.current_time()


async def _settle_now_and_then(committer: Committer) -> None:
    """Renew the lease of a mount that has no overlay, and let go of what it has left."""
    while True:
        await trio.sleep(max(FLUSH_INTERVAL, committer.store.leases.pause))
        with surviving("lease"):
            await committer.settle_lease()


async def _share_now_and_then(committer: Committer, sharing: Sharing) -> None:
    """Publish changes, settle, and remove old versions of a network file system, without being
    asked."""
    thinned = 0
    while True:
        await trio.sleep(FLUSH_INTERVAL)
        with surviving("background commit"):
            await sharing.commit()
        with surviving("settling"):
            await committer.settle()
        if sharing.commits >= thinned + THIN_EVERY:
            thinned = sharing.commits
            with surviving("old versions"):
                await committer.bridge.run(thin_history, committer.store, committer.volume)


async def _commit_now_and_then(service: MountControl, interval: float) -> None:
    while True:
        await trio.sleep(interval)
        with surviving("background commit"):
            await service.commit_changes()


# --- the end ----------------------------------------------------------------


async def _finish(served: ServedVolume) -> None:
    """Commit what is left and remove the session. What is not committed stays in the session."""
    service = served.service
    served.session.forget_device()
    # The mount is gone, and its path may be somebody else's now.
    served.committer.kernel = NO_KERNEL
    try:
        stays = await _commit_last(served)
    except Exception as error:  # noqa: BLE001 - whoever waits for the end gets the error
        service.last_error = to_own(error)
        log_error(f"last commit, the overlay {_say_left(served.session)}", error)
        served.session.note_place()
        return
    if stays:
        log.info("ended; the overlay %s", _say_left(served.session))
        served.session.note_place()
        return
    with surviving("removing the session"):
        end_session(served.committer.store, served.session)
        log.info("ended")


async def _commit_last(served: ServedVolume) -> bool:
    """Commit what is left, or discard it. Whether the overlay is to stay, although nothing has
    failed."""
    committer, service = served.committer, served.service
    if committer.flusher.catalog is None or service.at_end == "discard":
        return False
    await committer.flusher.flush()
    if served.state.overlay.is_clean:
        return False
    if service.at_end == "keep":
        service.left = session_name(committer.store, served.session.path)
        return True
    await service.commit(service.last_note)
    return False


def _say_left(session: OpenSession) -> str:
    place = session.find_place()
    return f"stays in {place}" if place else "is lost, for its directory was deleted"
