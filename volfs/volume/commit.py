"""Committing: a delta becomes the next version, by one compare-and-swap.

The delta is applied once, to the base on which it was made. The result is the mount's own *local*
tree. Then, until the swap succeeds: read the head, merge, write the manifest, swap. A lost race
repeats only the merge (docs/concurrency.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from volfs.errors import HeadMovedError, NotFoundError, OverriddenError
from volfs.model.delta import Delta, apply_delta
from volfs.model.entry import Entry
from volfs.model.manifest import AUTHOR_MAX, Manifest, Snapshot, check_message, encode_manifest
from volfs.model.merge import OverriddenChange, merge_snapshots
from volfs.model.names import Path, show_path
from volfs.model.objects import Kind
from volfs.model.profile import get_profile
from volfs.model.text import cut_stored
from volfs.store.clock import now_ns
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.identity import default_author
from volfs.volume.adding_sums import add_sums
from volfs.volume.leases import snapshot_needs, widen
from volfs.volume.version_reader import Reader

OnConflict = Literal["override", "fail"]


@dataclass(frozen=True, slots=True)
class CommitNote:
    """What a commit says of itself, and what it does if others changed the same files."""

    message: str = ""
    author: str = ""
    auto: bool = False
    on_conflict: OnConflict = "override"


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a commit.

    ``local`` and ``directories`` are the mount's own tree: its base with its changes, without what
    others published. ``snapshot`` is the tree of ``head``. If ``changed`` is False no version was
    made, and ``head`` is the newest one.
    """

    changed: bool
    head: Head
    snapshot: Snapshot
    local: Snapshot
    directories: dict[Path, Entry]
    overridden: list[OverriddenChange]
    new_objects: int
    new_bytes: int
    lease: Lease | None = None
    """The lease that the caller gave, with what ``local`` and ``head`` add to it."""


@dataclass(frozen=True, slots=True)
class DeltaBase:
    """What a delta was made on, and what keeps that in the store until the delta is published.

    Either ``lease`` keeps it: it is widened to the local tree in the same step, and records the
    stamp ``over`` of the sealed catalog. Or the versions ``shares`` keep it: they have
    ``snapshot`` and all other trees that the delta uses.
    """

    snapshot: Snapshot
    shares: Collection[int] = ()
    lease: Lease | None = None
    over: bytes = b""
    only_on: Head | None = None
    """The head that must still be there. None: any head, with which others' changes are merged."""


class CommitTarget(NamedTuple):
    """Where a commit goes: an upload of objects for one volume of a store."""

    store: Store
    upload: Upload
    volume: VolumeRecord


def commit_delta(
    target: CommitTarget, base: DeltaBase, delta: Delta, note: CommitNote
) -> Published:
    """Make ``delta`` the next version. The target's upload has the content that it names.

    NotFoundError if the volume, or what ``base`` names, is gone by then. HeadMovedError if the
    head is not the one that ``base`` asks for; then nothing is merged. OverriddenError if ``note``
    asks for it and others' changes would be replaced. LimitError if both sides together exceed the
    profile. UserError for a message that is too long. StoreError, DataError. On any error nothing
    is published.
    """
    check_message(note.message)
    return _Commit(target, base, delta, note).run()


class _Merged(NamedTuple):
    """Both sides' changes, on top of one head."""

    theirs: Snapshot
    snapshot: Snapshot
    overridden: list[OverriddenChange]


class _Commit:
    """One call of ``commit_delta``."""

    def __init__(
        self, target: CommitTarget, base: DeltaBase, delta: Delta, note: CommitNote
    ) -> None:
        self._target = target
        self._store, self._upload, self._volume = target
        self._base = base
        self._note = note
        self._reader = Reader(self._upload.load_object)
        applied = apply_delta(self._reader.get_tree, self._upload.put_object, base.snapshot, delta)
        self._local = applied.snapshot
        self._directories = applied.directories
        self._lease = base.lease and msgspec.structs.replace(
            widen(base.lease, needs=snapshot_needs(self._local)), over=base.over
        )

    def run(self) -> Published:
        """Merge and swap, until no other swap comes between."""
        refs = self._store.refs
        # If there is nothing to publish, no swap would show that a guess was wrong.
        is_same = self._local == self._base.snapshot
        find_head = refs.get_head if is_same else refs.guess_head
        while True:
            head = self._check_head(find_head(self._volume.id))
            find_head = refs.get_head
            published = self._swap(head, self._merge_onto(head))
            if published is not None:
                return published

    def _check_head(self, head: Head) -> Head:
        if self._base.only_on not in (None, head):
            raise HeadMovedError(
                f"{self._volume.full_name}: version {head.version} was published meanwhile"
            )
        return head

    def _merge_onto(self, head: Head) -> _Merged:
        """The tree that the next version is to have if it follows ``head``."""
        base, local = self._base.snapshot, self._local
        theirs = self._reader.load_manifest(head.manifest).snapshot
        if local == base:
            return _Merged(theirs, theirs, [])
        get, put = self._reader.get_tree, self._upload.put_object
        limits = get_profile(self._volume.profile)
        merged, overridden = merge_snapshots(get, put, base, local, theirs, limits)
        if overridden and self._note.on_conflict == "fail":
            raise OverriddenError(_describe(overridden))
        return _Merged(theirs, add_sums(self._reader, put, merged), overridden)

    def _swap(self, head: Head, merged: _Merged) -> Published | None:
        """Move the head on from ``head``, or leave it if nothing changed. None if another swap, or
        an expired version of the lease, was in the way."""
        if self._local == self._base.snapshot:
            return self._make_result(head, merged, self._base.lease, changed=False)
        if merged.snapshot == merged.theirs == self._local:
            lease = self._widen(head.version)
            if lease is not None and not _put_lease(self._store, lease):
                return None
            return self._make_result(head, merged, lease, changed=False)
        # If others published the same, a version is still made: it makes the objects of the local
        # tree durable, which the mount shows from now on.
        lease = self._widen(head.version + 1)
        new = publish_snapshot(
            self._target,
            head,
            merged.snapshot,
            self._note,
            shares=self._base.shares,
            lease=lease,
        )
        return new and self._make_result(new, merged, lease, changed=True)

    def _widen(self, version: int) -> Lease | None:
        return self._lease and widen(self._lease, version)

    def _make_result(
        self, head: Head, merged: _Merged, lease: Lease | None, *, changed: bool
    ) -> Published:
        return Published(
            changed,
            head,
            merged.snapshot,
            self._local,
            self._directories,
            merged.overridden,
            self._upload.new_objects,
            self._upload.new_bytes,
            lease,
        )


def publish_snapshot(
    target: CommitTarget,
    head: Head,
    snapshot: Snapshot,
    note: CommitNote,
    *,
    shares: Collection[int] = (),
    lease: Lease | None = None,
) -> Head | None:
    """Make ``snapshot`` the version after ``head``. None if another version came first.

    The errors of ``Refs.publish``.
    """
    store, upload, volume = target
    data = encode_manifest(make_manifest(volume, head, snapshot, note))
    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, data))
    try:
        store.refs.publish(upload, volume.id, head, new, shares=shares, lease=lease)
    except HeadMovedError:
        # A swap that was retried below us may have lost against itself.
        if store.refs.find_version(volume.id, new.version) != new.manifest:
            return None
    return new


def _put_lease(store: Store, lease: Lease) -> bool:
    """Put a lease. False if a version in it was expired meanwhile."""
    try:
        store.leases.put(lease)
    except NotFoundError:
        return False
    return True


def make_manifest(
    volume: VolumeRecord, head: Head, snapshot: Snapshot, note: CommitNote
) -> Manifest:
    return Manifest(
        volume=volume.id,
        version=head.version + 1,
        parent=head.manifest,
        created_ns=now_ns(),
        author=cut_stored(note.author or default_author(), AUTHOR_MAX),
        message=note.message,
        auto=note.auto,
        nonce=secrets.token_bytes(16),
        root=snapshot.root,
        links=snapshot.links,
        link_files=snapshot.link_files,
        link_bytes=snapshot.link_bytes,
        link_data=snapshot.link_data,
    )


def _describe(overridden: list[OverriddenChange]) -> str:
    shown = ", ".join(show_path(item.path) for item in overridden[:5])
    more = f" and {len(overridden) - 5} more" if len(overridden) > 5 else ""
    return f"others committed changes to {shown}{more}; nothing was published"
