"""Putting an overlay onto another version of its volume, by one transaction of its catalog.

If the store has everything that the overlay stands on, this is what a reload does: a merge.
Otherwise its changes are made again on the other version, path by path (``vfs/replay.py``). The
order: files that cannot come along are kept in a copy of the overlay, the lease is widened, the
catalog is written, the lease is narrowed. Whatever dies, the overlay is as it was or rebased, and
leased.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import msgspec

from volfs.daemon.assemble import make_sub_path
from volfs.daemon.sessions.copy import copy_session, find_copy
from volfs.daemon.sessions.inspect import describe_session
from volfs.daemon.sessions.locate import name_here
from volfs.daemon.sessions.open import take_session
from volfs.daemon.sessions.opened import OpenSession
from volfs.errors import (
    BaseGoneError,
    DamagedObjectError,
    MissingObjectError,
    MountError,
    NotFoundError,
)
from volfs.errors.fault_points import reached
from volfs.model.manifest import Snapshot
from volfs.model.names import Path as VolumePath
from volfs.model.names import parse_path, show_path
from volfs.model.profile import get_profile
from volfs.sessions.info import get_session
from volfs.sessions.places import session_name
from volfs.store.clock import now_ns
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.bases import is_there, keep_what_is_there, recorded_needs
from volfs.vfs.catalog import Catalog, Flush
from volfs.vfs.checkout import apply_checkout
from volfs.vfs.checkout_plan import plan_checkout
from volfs.vfs.left_content import Sources
from volfs.vfs.left_tree import read_left_tree
from volfs.vfs.needs import find_needs
from volfs.vfs.overlay import Overlay
from volfs.vfs.records import Recorded
from volfs.vfs.replay import ContentPlan, Needed, Replay, plan_contents, settle
from volfs.vfs.salvage import Salvaged, ScratchReader
from volfs.vfs.scratch import Scratch
from volfs.vfs.state import MountState
from volfs.vfs.thread_work import write_flush
from volfs.vfs.view import View
from volfs.volume.history import get_version
from volfs.volume.leases import new_lease, snapshot_needs
from volfs.volume.version_reader import Reader


@dataclass
class Rebased:
    """The result of a rebase."""

    overlay: str
    version: int
    merged: bool
    """Whether the base was in the store, so that both sides' changes were merged."""
    left_out: list[Needed] = field(default_factory=list)
    rest: str = ""
    """The overlay that has what was left out."""


class NeededError(BaseGoneError):
    """A rebase needs bytes or names of the lost base. ``needed`` lists them."""

    code = "base-needed"

    def __init__(self, message: str, needed: list[Needed] | None = None) -> None:
        super().__init__(message)
        self.needed = needed or []


def rebase_overlay(store: Store, name: str, onto: str, *, leave_out: bool = False) -> Rebased:
    """Put what a dead mount left onto a version: a number, a tag, ``head``.

    NeededError if files need what is lost with the base, unless they may be left out.
    NotFoundError; MountError if the mount lives; DamagedObjectError; LimitError; StoreError. On
    any error the overlay stays as it was.
    """
    name = name_here(store, name)
    found = describe_session(store, get_session(store, name))
    if found.session.alive:
        raise MountError(f"{name}: mounted at {found.session.mountpoint}, by a living daemon")
    if found.left.problem or found.volume is None:
        raise DamagedObjectError(
            f"{name}: {found.left.problem}; `volfs overlays export` writes out what is left of it"
        )
    with ExitStack() as stack:
        session = take_session(store, name)
        stack.callback(session.close)
        sub_path = parse_path(found.session.sub_path)
        rebase = _Rebase(store, found.volume, session, name, sub_path, stack)
        return rebase.run(onto, leave_out=leave_out)


class _Rebase:
    """One rebase, with the session's lock, catalog and scratch open."""

    def __init__(
        self,
        store: Store,
        volume: VolumeRecord,
        session: OpenSession,
        name: str,
        sub_path: VolumePath,
        stack: ExitStack,
    ) -> None:
        self.store = store
        self.volume = volume
        self.objects = store.objects_of(volume.id)
        self.session = session
        self.name = name
        self.sub_path = sub_path
        self.stack = stack
        self.left = store.leases.find(name)
        self.catalog = Catalog(session.catalog, must_exist=True)
        stack.callback(self.catalog.close)
        self.scratch = Scratch(session.scratch)
        stack.callback(self.scratch.close)

    def run(self, onto: str, *, leave_out: bool) -> Rebased:
        if self.catalog.find_base(self.left.over if self.left else b"") is None:
            raise NotFoundError(f"{self.name}: it has nothing that is not committed")
        recorded = self.catalog.read()
        head, snapshot = self.find_version(onto)
        result = Rebased(self.name, head.version, merged=False)
        self.scratch.open_arenas()
        if is_there(self.objects, recorded_needs(recorded)):
            # If the base has gone just now, the overlay is rebased without it.
            with suppress(MissingObjectError):
                self.merge(recorded, head, snapshot)
                result.merged = True
        if not result.merged:
            keep_what_is_there(self.store, self.volume.id, self.name, recorded)
            self.left = self.store.leases.find(self.name)
            self.replay(recorded, head, snapshot, result, leave_out)
        return result

    def find_version(self, onto: str) -> tuple[Head, Snapshot]:
        """The version that is meant, with the directory that the overlay lies in. It is made in
        the head if it is missing."""
        load = Reader(self.objects.load_object).load_manifest
        for _ in range(2):
            head = get_version(self.store.refs, self.volume, onto)
            snapshot = load(head.manifest).snapshot
            view = View(self.objects, head, snapshot, self.sub_path)
            if settle(self.make_state(view), view.find_root, snapshot) is not None:
                return head, snapshot
            if head != self.store.refs.get_head(self.volume.id):
                break
            make_sub_path(self.store, self.volume, self.sub_path)
        where = show_path(self.sub_path)
        raise NotFoundError(
            f"{self.name}: version {head.version} has no directory {where}, in which it lies; "
            "onto the head it is made"
        )

    def make_state(self, view: View) -> MountState:
        return MountState(
            view,
            get_profile(self.volume.profile),
            Overlay(self.scratch, self.sub_path),
            self.scratch,
            clock=now_ns,
            random=lambda: secrets.randbits(62) + 1,
        )

    def add_root(self, state: MountState) -> None:
        root = settle(state, state.view.find_root, state.view.snapshot)
        if root is None:
            raise DamagedObjectError(f"{self.name}: what it stands on lacks {self.sub_path!r}")
        state.inodes.add(root, None, b"")

    # --- merge and replay ------------------------------------------------

    def merge(self, recorded: Recorded, head: Head, snapshot: Snapshot) -> None:
        """Merge as the mount would with a reload."""
        assert recorded.base is not None
        base = recorded.base
        view = View(self.objects, base.head, base.snapshot, self.sub_path)
        state = self.make_state(view)
        self.add_root(state)
        self.catalog.load(state, recorded)

        def show() -> None:
            if view.snapshot == snapshot:
                view.head = head
            else:
                apply_checkout(state, plan_checkout(state, head, snapshot))

        settle(state, show)
        settle(state, state.recount_usage)
        self.record(state, self.catalog.prepare(state))

    def replay(
        self,
        recorded: Recorded,
        head: Head,
        snapshot: Snapshot,
        result: Rebased,
        leave_out: bool,
    ) -> None:
        """Make the overlay's changes again, path by path. What needs the lost base stays in
        another overlay."""
        state = self.make_state(View(self.objects, head, snapshot, self.sub_path))
        self.add_root(state)
        pieces = [piece for each in recorded.pieces.values() for piece in each]
        self.scratch.restore(recorded.sums, pieces)
        reader = Reader(self.objects.load_object)
        tree = read_left_tree(Salvaged(recorded, set(), []), reader, self.sub_path)
        arenas = ScratchReader(self.session.scratch, recorded.sums)
        self.stack.callback(arenas.close)
        sources = Sources(arenas, reader, self.objects)
        plan = plan_contents(tree, sources, state)
        self.check(plan, leave_out)
        Replay(state, tree, plan.ways, sources).run()
        if plan.needed:
            result.left_out, result.rest = plan.needed, self.keep_rest()
        self.record(state, self.catalog.prepare_anew(state))

    def check(self, plan: ContentPlan, leave_out: bool) -> None:
        if plan.needed and not leave_out:
            count = len(plan.needed)
            first = show_path(plan.needed[0].path)
            what = first if count == 1 else f"{first} and {count - 1} more"
            raise NeededError(
                f"{self.name}: {what} cannot be made without the version that it stood on; "
                "nothing was changed. --leave-out rebases the others, and keeps these in an "
                "overlay of their own",
                plan.needed,
            )

    def keep_rest(self) -> str:
        """Keep a copy of the overlay as it was, by a name that no mount looks for. Its name."""
        path = self.session.path
        place = find_copy(path, path.parent, f"{path.name}.left-")
        if not place.exists():
            copy_session(path, place)
        name = session_name(self.store, place)
        if self.left is not None:
            rest = msgspec.structs.replace(self.left, session=name, versions=(), over=b"")
            self.store.leases.put(rest)
        reached("rebase.kept")
        return name

    # --- recording -------------------------------------------------------

    def record(self, state: MountState, flush: Flush) -> None:
        """Lease both sides, write the catalog, then lease the new side alone."""
        needs, version = find_needs(state), state.view.head.version
        place = self.left.place if self.left else ""
        blank = new_lease(self.store.leases, self.name, self.volume.id, place=place)
        new = msgspec.structs.replace(blank, versions=(version,), needs=needs)
        wide = new
        if self.left is not None:
            both = tuple(sorted({*self.left.needs, *needs}))
            versions = tuple(sorted({*self.left.versions, version}))
            wide = msgspec.structs.replace(self.left, versions=versions, needs=both, over=b"")
        self.put_wide(wide, new)
        reached("rebase.leased")
        if not is_there(self.objects, _beside_view(state)):
            self.put_back_lease()
            raise MissingObjectError(f"{self.name}: what it needs was removed just now")
        write_flush(self.scratch, self.catalog, flush)
        self.session.note_place()
        reached("rebase.recorded")
        self.store.leases.put(new)
        reached("rebase.narrowed")

    def put_back_lease(self) -> None:
        """Put the former lease back, because gc refuses to work if a lease needs what is not
        there."""
        if self.left is not None:
            self.store.leases.put(self.left)
        else:
            self.store.leases.drop(self.name)

    def put_wide(self, wide: Lease, new: Lease) -> None:
        """Put the wide lease. If the former one names versions that are gone, its needs stay all
        the same."""
        try:
            self.store.leases.put(wide)
        except NotFoundError:
            self.store.leases.put(msgspec.structs.replace(wide, versions=new.versions))


def _beside_view(state: MountState) -> set[Need]:
    """The needs of the overlay that the version may not have."""
    return set(find_needs(state)) - set(snapshot_needs(state.view.snapshot))
