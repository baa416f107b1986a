"""One mount from beginning to end: build the rooms, serve, commit, let go.

Runs after daemonising: LMDB environments must not cross a fork.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

import trio

from volfs.control.mounts import find_mount_point, make_runtime_directory, socket_path
from volfs.daemon.options import MountOptions
from volfs.daemon.server import listen, serve
from volfs.daemon.service import Service
from volfs.daemon.session import Session, make_facts, open_session
from volfs.errors import NotFoundError, StoreError, VolfsError
from volfs.fuse.mounting import MountRequest, close, make_kernel, mount, raise_read_ahead, unmount
from volfs.fuse.mounting import serve as serve_fuse
from volfs.fuse.ops import Operations
from volfs.model.names import Path as VolumePath
from volfs.model.names import parse_path, show_path
from volfs.model.profile import get_profile
from volfs.store.base import Lease, Store, VolumeRecord
from volfs.store.registry import open_store
from volfs.vfs.aio import Bridge
from volfs.vfs.catalog import Catalog, StoredBase
from volfs.vfs.committer import Committer, Kernel
from volfs.vfs.overlay import Overlay
from volfs.vfs.scratch import Scratch
from volfs.vfs.state import MountState
from volfs.vfs.view import View
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.history import get_version
from volfs.volume.leases import begin_lease, snapshot_needs
from volfs.volume.reader import Reader
from volfs.volume.sessions import session_name, sessions_directory

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 1.0
NO_KERNEL = Kernel(drain=lambda: None, write_back=lambda: None, forget=lambda notices: None)


@dataclass(slots=True)
class Mount:
    """The rooms of one mount, built and ready to be served."""

    options: MountOptions
    session: Session
    catalog: Catalog | None
    committer: Committer
    operations: Operations
    service: Service

    @property
    def state(self) -> MountState:
        return self.committer.state


async def run(options: MountOptions, ready: Callable[[], None]) -> None:
    """Mount, call ``ready`` when the mount answers, serve until it is gone.

    What cannot be mounted raises before ``ready`` is called.
    """
    async with AsyncExitStack() as stack:
        built = await _build(options, stack)
        request = MountRequest(
            options.mountpoint,
            built.committer.volume.name,
            built.state.read_only,
            options.allow_other,
        )
        mount(built.operations, request)
        stack.push(_make_exit(built.service))
        async with trio.open_nursery() as servers:
            try:
                await _serve(built, servers, ready)
            finally:
                with trio.CancelScope(shield=True):
                    await _finish(built)
                built.service.finished.set()


def _make_exit(service: Service) -> Callable[[object, object, object], None]:
    """What lets go of the session; a mount that this process failed to serve goes with it."""

    def leave(kind: object, error: object, trace: object) -> None:
        close()
        left = find_mount_point(service.mountpoint)
        if kind is not None and left is not None and left.device == service.device:
            unmount(service.mountpoint, lazy=True)

    return leave


# --- building ---------------------------------------------------------------


async def _build(options: MountOptions, stack: AsyncExitStack) -> Mount:
    store = open_store(options.store)
    stack.callback(store.close)
    volume = store.get_volume(options.volume)
    directory = options.sessions or sessions_directory(store)
    sub_path = parse_path(options.sub_path or "")
    read_only = options.read_only or options.at is not None
    shows = show_path(sub_path) + (" read-only" if read_only else "")
    session = open_session(directory, volume, options.mountpoint, shows)
    stack.callback(session.close)
    try:
        return await _build_rooms(options, stack, store, volume, session)
    except BaseException:
        if session.is_new:
            _end_session(store, session)
        raise


async def _build_rooms(
    options: MountOptions,
    stack: AsyncExitStack,
    store: Store,
    volume: VolumeRecord,
    session: Session,
) -> Mount:
    sub_path = parse_path(options.sub_path or "")
    read_only = options.read_only or options.at is not None
    if not read_only and sub_path:
        _make_sub_path(store, volume, sub_path)
    scratch, catalog = Scratch(session.scratch), None
    stack.callback(scratch.close)
    if not read_only:
        catalog = Catalog(session.catalog)
        stack.callback(catalog.close)
    base = catalog.find_base() if catalog else None
    name = session_name(store, session.path)
    view, lease = _make_view(store, volume, name, options.at or "head", sub_path, base)
    state = MountState(
        view,
        get_profile(volume.profile),
        Overlay(scratch, sub_path),
        scratch,
        clock=time.time_ns,
        random=lambda: secrets.randbits(62) + 1,
        read_only=read_only,
    )
    bridge = Bridge(view)
    await _fill(state, bridge, catalog, base)
    session.write_facts(
        make_facts(volume, options.mountpoint, view.head.version, read_only=read_only)
    )
    kernel = make_kernel(options.mountpoint)
    committer = Committer(state, bridge, store, volume, catalog, kernel, lease)
    await committer.narrow_lease()
    interval = volume.auto_commit if options.auto_commit is None else options.auto_commit
    return _wire(options, session, catalog, committer, None if read_only else interval or None)


def _wire(
    options: MountOptions,
    session: Session,
    catalog: Catalog | None,
    committer: Committer,
    auto_commit: float | None,
) -> Mount:
    async def sync_root() -> None:
        if auto_commit:
            await service.commit(CommitNote("sync", auto=True))

    operations = Operations(
        committer.state, committer.bridge, committer.flush, sync_root, committer.store.get_space
    )
    service = Service(committer, operations, options.mountpoint, auto_commit)
    service.pinned = options.at is not None
    return Mount(options, session, catalog, committer, operations, service)


def _make_view(
    store: Store,
    volume: VolumeRecord,
    session: str,
    at: str,
    sub_path: VolumePath,
    base: StoredBase | None,
) -> tuple[View, Lease]:
    """The version to show: that of an overlay left behind, or the one asked for."""
    if base is not None:
        # What it had stays leased until the overlay is loaded: nobody else knows its needs.
        view = View(store.objects, base.head, base.snapshot, sub_path)
        left = store.find_lease(session)
        return view, left or _lease_base(store, volume, session, base)
    head, lease = begin_lease(store, volume, session, lambda: get_version(store, volume, at))
    manifest = Reader(store.objects.load_object).load_manifest(head.manifest)
    return View(store.objects, head, manifest.snapshot, sub_path), lease


def _lease_base(store: Store, volume: VolumeRecord, session: str, base: StoredBase) -> Lease:
    """Of an overlay that was brought here without its lease, if its version is still there."""
    needs = snapshot_needs(base.snapshot)
    lease = Lease(session, volume.id, (base.head.version,), needs, time.time_ns())
    store.put_lease(lease)
    return lease


def _make_sub_path(store: Store, volume: VolumeRecord, path: VolumePath) -> None:
    """A sub-path that is missing is made, as a version of its own."""
    with Edit(store, volume) as edit:
        if edit.find(path) is None:
            edit.make_directories(path)
            edit.publish(CommitNote(f"make {show_path(path)}"))


async def _fill(
    state: MountState, bridge: Bridge, catalog: Catalog | None, base: StoredBase | None
) -> None:
    """The root inode, and the overlay that a former daemon left."""
    root = await bridge.settle(state.view.find_root, state.view.snapshot)
    if root is None:
        raise NotFoundError(f"{show_path(state.view.sub_path)}: no such directory in the volume")
    state.inodes.add(root, None, b"")
    if catalog is None:
        return
    state.scratch.open_arenas()
    if base is not None:
        catalog.load(state, base)
        await bridge.settle(state.recount_usage)
        log.info("took over %d uncommitted files", state.overlay.dirty_files)


# --- serving ----------------------------------------------------------------


async def _serve(built: Mount, servers: trio.Nursery, ready: Callable[[], None]) -> None:
    """Serve the kernel until it is gone; the control server, in ``servers``, outlives it."""
    service = built.service
    async with trio.open_nursery() as nursery:

        async def serve_kernel() -> None:
            await serve_fuse()
            nursery.cancel_scope.cancel()

        nursery.start_soon(serve_kernel)
        status = await trio.to_thread.run_sync(os.stat, built.options.mountpoint)
        service.device = os.major(status.st_dev), os.minor(status.st_dev)
        raise_read_ahead(service.device)
        make_runtime_directory()
        service.socket = socket_path(service.device)
        servers.start_soon(serve, listen(service.socket), service.handle, service.finished)
        nursery.start_soon(_watch_signals, built)
        if built.catalog is not None:
            nursery.start_soon(_flush_now_and_then, built.committer)
        if service.auto_commit:
            nursery.start_soon(_commit_now_and_then, service, service.auto_commit)
        ready()


async def _watch_signals(built: Mount) -> None:
    """End as ``volfs umount`` does, but without anybody to tell what went wrong."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("ending on signal %d", number)
            await built.service.leave()


async def _flush_now_and_then(committer: Committer) -> None:
    while True:
        await trio.sleep(FLUSH_INTERVAL)
        with _surviving("overlay not recorded"):
            await committer.flush()


async def _commit_now_and_then(service: Service, interval: float) -> None:
    while True:
        await trio.sleep(interval)
        if service.committer.state.overlay.dirty:
            with _surviving("background commit"):
                await service.commit(CommitNote(auto=True))


@contextmanager
def _surviving(what: str) -> Iterator[None]:
    """What goes wrong in the background is logged and tried again; the mount lives on."""
    try:
        yield
    except VolfsError as error:
        log.error("%s: %s", what, error)
    except Exception:
        log.exception("%s", what)


# --- the end ----------------------------------------------------------------


async def _finish(built: Mount) -> None:
    """Commit what is left and remove the session; what cannot be committed stays in it."""
    committer, service = built.committer, built.service
    if service.socket is not None:
        service.socket.unlink(missing_ok=True)
    committer.kernel = NO_KERNEL  # the mount is gone; its path is somebody else's now
    if built.catalog is None or service.discard:
        _end_session(committer.store, built.session)
        return
    try:
        await committer.flush()
        if not built.state.overlay.is_clean:
            await service.commit(CommitNote("unmount"))
        _end_session(committer.store, built.session)
        log.info("ended")
    except VolfsError as error:
        log.error("last commit: %s; the overlay stays in %s", error, built.session.path)
        service.last_error = error


def _end_session(store: Store, session: Session) -> None:
    """Remove the session's directory, and then the lease."""
    session.remove()
    try:
        store.drop_lease(session_name(store, session.path))
    except StoreError as error:
        log.warning("lease: %s; it is dropped by the next gc", error)
