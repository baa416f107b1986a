"""The parts of one mount over its session: view, state, overlay, committer. Without FUSE."""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack

import msgspec

from volfs.control.signs import open_sign
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.sessions.opened import OpenSession, make_facts
from volfs.errors import NotFoundError
from volfs.model.names import Path as VolumePath
from volfs.model.names import join_path, parse_path, show_path
from volfs.model.profile import get_profile
from volfs.model.text import to_text
from volfs.sessions.places import session_name
from volfs.store.clock import now_ns
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.aio import Bridge
from volfs.vfs.bases import base_gone, find_problem, is_covered, keep_what_is_there, widen_lease
from volfs.vfs.catalog import Catalog
from volfs.vfs.committer import Committer
from volfs.vfs.kernel import Kernel
from volfs.vfs.overlay import Overlay
from volfs.vfs.records import Recorded
from volfs.vfs.scratch import Scratch
from volfs.vfs.state import MountState
from volfs.vfs.view import View
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.leases import new_lease
from volfs.volume.loaded import keep_loaded

log = logging.getLogger(__name__)

NO_KERNEL = Kernel(
    drain=lambda: None,
    write_back=lambda files: None,
    find_attached=list,
    forget=lambda notices: None,
)


async def open_rooms(
    options: MountOptions,
    stack: AsyncExitStack,
    store: Store,
    volume: VolumeRecord,
    session: OpenSession,
    kernel: Kernel,
) -> Committer:
    """Build the parts, with the overlay that a former daemon left in the session. ``stack`` closes
    them.

    NotFoundError for a version or directory that is not there; BaseGoneError if this store lacks
    what the overlay stands on; DataError if something is damaged; StoreError.
    """
    sub_path = parse_path(options.sub_path or "")
    scratch, catalog = _open_overlay(options, stack, session)
    name = session_name(store, session.path)
    # A new directory has no overlay. What a former session of its name has leased is over.
    left = None if session.is_new else store.leases.find(name)
    base = catalog.find_base(left.over if left else b"") if catalog else None
    if catalog and base is None and sub_path:
        make_sub_path(store, volume, sub_path)
    recorded = catalog.read() if catalog and base else None
    blank = new_lease(
        store.leases,
        name,
        volume.id,
        place=options.mountpoint,
        kind=LeaseKind.RENEWED if options.is_read_only else LeaseKind.KEPT,
    )
    follows = _follows(options, volume)
    sign = None if follows else _open_sign(options, volume)
    blank = msgspec.structs.replace(blank, onward=follows)
    view, lease = make_view(store, volume, blank, options.at or "head", sub_path, recorded)
    state = MountState(
        view,
        get_profile(volume.profile),
        Overlay(scratch, sub_path, sign),
        scratch,
        clock=now_ns,
        random=lambda: secrets.randbits(62) + 1,
        read_only=options.is_read_only,
        follows=follows,
    )
    bridge = Bridge(view)
    await fill_state(state, bridge, catalog, recorded)
    state.settle_sign()
    session.write_facts(make_facts(options, volume, view.head.version))
    committer = Committer(state, bridge, store, volume, catalog, kernel, lease)
    await committer.begin_lease()
    return committer


def _follows(options: MountOptions, volume: VolumeRecord) -> bool:
    return options.at is None and (volume.is_network or options.follow)


def _open_overlay(
    options: MountOptions, stack: AsyncExitStack, session: OpenSession
) -> tuple[Scratch, Catalog | None]:
    """The session's files, which ``stack`` closes. A read-only mount has no catalog."""
    session.scratch.mkdir(mode=0o700, exist_ok=True)
    scratch = Scratch(session.scratch)
    stack.callback(scratch.close)
    if options.is_read_only:
        return scratch, None
    catalog = Catalog(session.catalog, must_exist=session.has_begun)
    stack.callback(catalog.close)
    return scratch, catalog


def choose_auto_commit(options: MountOptions, volume: VolumeRecord) -> float | None:
    """Seconds between background commits of a volume that does not follow; None: there are none."""
    said = (options.auto_commit, volume.auto_commit)
    interval = next((one for one in said if one is not None), options.auto_commit_else)
    return None if options.is_read_only else interval or None


def _open_sign(options: MountOptions, volume: VolumeRecord) -> memoryview | None:
    """The byte by which whoever runs the mount's container sees that there may be changes."""
    if options.sign_fd is None or choose_auto_commit(options, volume) is None:
        return None
    return open_sign(options.sign_fd, options.sign_at)


def make_view(
    store: Store,
    volume: VolumeRecord,
    blank: Lease,
    at: str,
    sub_path: VolumePath,
    recorded: Recorded | None,
) -> tuple[View, Lease]:
    """The version to show: that of an overlay left behind, or the requested one. With its
    lease."""
    if recorded is not None and recorded.base is not None:
        # The former lease stays until the overlay is loaded, because nothing else knows the
        # overlay's needs.
        base, left = recorded.base, _lease_base(store, volume, blank, recorded)
        view = View(store.objects_of(volume.id), base.head, base.snapshot, sub_path)
        return view, msgspec.structs.replace(
            left,
            onward=blank.onward or volume.is_network,
            host=blank.host,
            place=blank.place,
            kind=blank.kind,
        )
    onward = blank.onward or (volume.is_network and at == "head")
    lease = msgspec.structs.replace(blank, onward=onward)
    head, snapshot, lease = keep_loaded(store, volume, lease, at)
    return View(store.objects_of(volume.id), head, snapshot, sub_path), lease


def _lease_base(store: Store, volume: VolumeRecord, blank: Lease, recorded: Recorded) -> Lease:
    """The lease on what an overlay lies on. A lease from another store's past is made to fit.

    BaseGoneError if the store lacks what the overlay lies on.
    """
    session = blank.session
    left = store.leases.find(session)
    if problem := find_problem(store, volume.id, recorded, left):
        keep_what_is_there(store, volume.id, session, recorded)
        raise base_gone(session, problem)
    if left is not None and is_covered(recorded, left):
        return left
    lease = widen_lease(left or blank, recorded)
    store.leases.put(lease)
    # A part of it may have been removed between the look and the lease.
    if problem := find_problem(store, volume.id, recorded, None):
        store.leases.drop(session, lease)
        raise base_gone(session, problem)
    return lease


def make_sub_path(store: Store, volume: VolumeRecord, path: VolumePath) -> None:
    """Make a missing sub-path, as a version of its own."""
    with Edit(store, volume) as edit:
        if edit.find(path) is None:
            edit.make_directories(path)
            edit.commit(CommitNote(f"make {to_text(join_path(path))}"))


async def fill_state(
    state: MountState, bridge: Bridge, catalog: Catalog | None, recorded: Recorded | None
) -> None:
    """Add the root inode, and load the overlay that a former daemon left."""
    root = await bridge.settle(state.view.find_root, state.view.snapshot)
    if root is None:
        raise NotFoundError(f"{show_path(state.view.sub_path)}: no such directory in the volume")
    state.inodes.add(root, None, b"")
    if catalog is None:
        return
    state.scratch.open_arenas()
    if recorded is not None:
        catalog.load(state, recorded)
        await bridge.settle(state.recount_usage)
        log.info("took over %d uncommitted files", state.overlay.dirty_files)
