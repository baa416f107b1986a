"""Publishing: a delta becomes the next version, by one compare-and-swap.

The delta is applied to the base it was made on, once; that gives the mount's
own *local* tree. Then, until the swap succeeds: read the head, merge, write the
manifest, swap. A lost race redoes only the merge (docs/concurrency.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

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
from volfs.store.contract.leases import Lease
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
    """What a commit says of itself, and what it does where others changed the same file."""

    message: str = ""
    author: str = ""
    auto: bool = False
    on_conflict: OnConflict = "override"


@dataclass(frozen=True, slots=True)
class Published:
    """What came of a commit.

    ``local`` and ``directories`` are the mount's own tree: its base with its
    changes, without what others published; ``snapshot`` is what ``head`` has.
    Where ``changed`` is False no version was made, and ``head`` is the newest one.
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
    """The one that was handed in, with what ``local`` and ``head`` add to it."""


def publish_delta(
    store: Store,
    upload: Upload,
    volume: VolumeRecord,
    base: Snapshot,
    delta: Delta,
    note: CommitNote,
    *,
    shares: Collection[int] = (),
    lease: Lease | None = None,
    over: bytes = b"",
    only_on: Head | None = None,
) -> Published:
    """Publish ``delta``, made on ``base``. The content it names has been put into ``upload``.

    What is taken from a base must stay until it is published: either ``lease``
    is on it, and is widened to the local tree in the same step (and told what
    the delta was sealed ``over``), or ``base`` and whatever else ``delta`` has
    trees of are the versions ``shares``.
    NotFoundError if the volume or one of these is gone by then.
    HeadMovedError if the head is not ``only_on``: nothing is merged then.
    OverriddenError if ``note`` says so and others' changes would be replaced;
    LimitError if both sides together exceed the profile; UserError for a message
    that is too long; StoreError, DataError. On any error nothing is published.
    """
    check_message(note.message)
    reader = Reader(upload.load_object)
    applied = apply_delta(reader.get_tree, upload.put_object, base, delta)
    local = applied.snapshot

    wide = lease and msgspec.structs.replace(widen(lease, needs=snapshot_needs(local)), over=over)

    def result(
        changed: bool,
        head: Head,
        snapshot: Snapshot,
        overridden: list[OverriddenChange],
        lease: Lease | None,
    ) -> Published:
        return Published(
            changed,
            head,
            snapshot,
            local,
            applied.directories,
            overridden,
            upload.new_objects,
            upload.new_bytes,
            lease,
        )

    while True:
        head = store.refs.get_head(volume.id)
        if only_on not in (None, head):
            raise HeadMovedError(
                f"{volume.full_name}: version {head.version} was published meanwhile"
            )
        theirs = reader.load_manifest(head.manifest).snapshot
        if local == base:
            return result(False, head, theirs, [], lease)
        merged, overridden = merge_snapshots(
            reader.get_tree, upload.put_object, base, local, theirs, get_profile(volume.profile)
        )
        if overridden and note.on_conflict == "fail":
            raise OverriddenError(_describe(overridden))
        merged = add_sums(reader, upload.put_object, merged)
        if merged == theirs == local:
            held = wide and widen(wide, head.version)
            if held is not None and not _put_lease(store, held):
                continue
            return result(False, head, theirs, [], held)
        # Where others published the same, a version is made all the same: it is what
        # makes the objects of the local tree durable, which the mount shows from now on.
        data = encode_manifest(make_manifest(volume, head, merged, note))
        new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, data))
        held = wide and widen(wide, new.version)
        try:
            store.refs.publish(upload, volume.id, head, new, shares=shares, lease=held)
        except HeadMovedError:
            # A swap that was retried below us may have lost against itself.
            if store.refs.find_version(volume.id, new.version) != new.manifest:
                continue
        return result(True, new, merged, overridden, held)


def _put_lease(store: Store, lease: Lease) -> bool:
    """False if a version in it was expired meanwhile."""
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
