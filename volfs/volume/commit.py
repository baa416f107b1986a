"""Publishing: a delta becomes the next version, by one compare-and-swap.

The delta is applied to the base it was made on, once; that gives the mount's
own *local* tree. Then, until the swap succeeds: read the head, merge, write the
manifest, swap. A lost race redoes only the merge (docs/concurrency.md).
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Literal

from volfs.errors import HeadMovedError, OverriddenError, UserError
from volfs.model.delta import Delta, apply_delta
from volfs.model.entry import Entry
from volfs.model.manifest import MESSAGE_MAX, Manifest, Snapshot, encode_manifest
from volfs.model.merge import Overridden, merge_snapshots
from volfs.model.names import Path, show_path
from volfs.model.objects import Kind
from volfs.model.profile import get_profile
from volfs.store.base import Head, Store, Upload, VolumeRecord
from volfs.volume.reader import Reader

OnConflict = Literal["override", "fail"]
AUTHOR_MAX = 256


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
    overridden: list[Overridden]
    new_objects: int
    new_bytes: int


def default_author() -> str:
    """``user@host``, as far as they can be known."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def publish_delta(
    store: Store,
    upload: Upload,
    volume: VolumeRecord,
    base: Snapshot,
    delta: Delta,
    note: CommitNote,
) -> Published:
    """Publish ``delta``, made on ``base``. The content it names has been put into ``upload``.

    OverriddenError if ``note`` says so and others' changes would be replaced;
    LimitError if both sides together exceed the profile; UserError for a message
    that is too long; StoreError, DataError. On any error nothing is published.
    """
    _check_message(note.message)
    reader = Reader(upload.load_object)
    applied = apply_delta(reader.get_tree, upload.put_object, base, delta)
    local = applied.snapshot

    def result(
        changed: bool, head: Head, snapshot: Snapshot, overridden: list[Overridden]
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
        )

    while True:
        head = store.get_head(volume.id)
        theirs = reader.load_manifest(head.manifest).snapshot
        if local == base:
            return result(False, head, theirs, [])
        merged, overridden = merge_snapshots(
            reader.get_tree, upload.put_object, base, local, theirs, get_profile(volume.profile)
        )
        if overridden and note.on_conflict == "fail":
            raise OverriddenError(_describe(overridden))
        if merged == theirs == local:
            return result(False, head, theirs, [])
        # Where others published the same, a version is made all the same: it is what
        # makes the objects of the local tree durable, which the mount shows from now on.
        data = encode_manifest(_make_manifest(volume, head, merged, note))
        new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, data))
        try:
            store.publish(upload, volume.id, head, new)
        except HeadMovedError:
            # A swap that was retried below us may have lost against itself.
            if store.find_version(volume.id, new.version) != new.manifest:
                continue
        return result(True, new, merged, overridden)


def _make_manifest(
    volume: VolumeRecord, head: Head, snapshot: Snapshot, note: CommitNote
) -> Manifest:
    return Manifest(
        volume=volume.id,
        version=head.version + 1,
        parent=head.manifest,
        created_ns=time.time_ns(),
        author=_clean(note.author or default_author())[:AUTHOR_MAX],
        message=_clean(note.message),
        auto=note.auto,
        nonce=secrets.token_bytes(16),
        root=snapshot.root,
        links=snapshot.links,
        link_files=snapshot.link_files,
        link_bytes=snapshot.link_bytes,
    )


def _check_message(message: str) -> None:
    if len(message) > MESSAGE_MAX:
        raise UserError(f"message of {len(message)} characters: longer than {MESSAGE_MAX}")


def _clean(text: str) -> str:
    """Text that can be stored: bytes of an argument that are no UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _describe(overridden: list[Overridden]) -> str:
    shown = ", ".join(show_path(item.path) for item in overridden[:5])
    more = f" and {len(overridden) - 5} more" if len(overridden) > 5 else ""
    return f"others committed changes to {shown}{more}; nothing was published"
