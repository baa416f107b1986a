"""The meeting of two volumes: the last moment up to which a merge of them has nothing to bring.

A fork meets the volume that it was forked from where it begins, and again at each merge of one into
the other. The changes that both had made by then are in both, or were decided by that merge. So the
version at the meeting is the base of the next merge.

Three records tell of meetings. Version 0 of a fork names the version from which it was forked. The
version that a merge has made ends its message with a note. A tag of the fork names its version at
the meeting, so that this does not expire, and tells of it if the version with the note has expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from volfs.errors import InvalidError, NotFoundError
from volfs.model.merge_note import MergeNote, split_merge_note
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.origin import ForkedFrom, find_forked_from
from volfs.volume.history import iter_manifests, load_manifest

_MERGED, _UPDATED = "merged.", "updated."


class Pair(NamedTuple):
    """Two volumes. If one was forked from the other, it is the younger."""

    younger: VolumeRecord
    older: VolumeRecord


class Meeting(NamedTuple):
    """A version of the younger volume, and the version that is the base of the next merge."""

    younger: int
    volume: VolumeRecord
    """The volume of the base: the one that was merged into the other."""
    base: int

    def order(self) -> tuple[int, bool]:
        """Where the meeting comes among those of a pair. A version of the younger volume that a
        merge made can only afterwards be merged into the older one."""
        return self.younger, self.base == self.younger


def find_origin(store: Store, volume: VolumeRecord) -> ForkedFrom | None:
    """The version of another volume from which a volume was forked. None if it is no fork, or an
    older volfs made it."""
    oid = store.refs.find_version(volume.id, 0)
    return find_forked_from(load_manifest(store.objects_of(volume.id), oid)) if oid else None


def order_pair(store: Store, one: VolumeRecord, other: VolumeRecord) -> Pair:
    origin = find_origin(store, other)
    is_fork = origin is not None and origin.volume_id == one.id
    return Pair(other, one) if is_fork else Pair(one, other)


def get_meeting(store: Store, pair: Pair) -> Meeting:
    """The last meeting of two volumes. InvalidError if nothing tells of any."""
    origin = find_origin(store, pair.younger)
    tags = dict(store.refs.list_tags(pair.younger.id))
    found = [
        _find_beginning(pair, origin),
        _find_tag(pair, tags),
        _find_update_tag(store, pair, tags),
        _find_in_older(store, pair, origin),
        _find_in_younger(store, pair),
    ]
    known = [meeting for meeting in found if meeting is not None]
    if not known:
        name = pair.younger.full_name
        raise InvalidError(
            f"{name}: nothing tells from which version on its changes count, as it is no fork, or "
            "an older volfs made it; name that version with --since (1 is what a fork began with)"
        )
    return max(known, key=Meeting.order)


def tag_meeting(store: Store, pair: Pair, version: int, *, update: bool) -> None:
    """Let a tag of the younger volume name its version at the meeting. Nothing if the volume is
    gone.

    The meeting is an ``update`` if the older volume was merged into the younger one.
    """
    tag = (_UPDATED if update else _MERGED) + pair.older.id
    with suppress(NotFoundError):
        store.refs.put_tag(pair.younger.id, tag, version, move=True)


def _find_beginning(pair: Pair, origin: ForkedFrom | None) -> Meeting | None:
    return origin and Meeting(1, pair.younger, 1)


def _find_tag(pair: Pair, tags: Mapping[str, int]) -> Meeting | None:
    version = tags.get(_MERGED + pair.older.id)
    return None if version is None else Meeting(version, pair.younger, version)


def _find_update_tag(store: Store, pair: Pair, tags: Mapping[str, int]) -> Meeting | None:
    version = tags.get(_UPDATED + pair.older.id)
    oid = None if version is None else store.refs.find_version(pair.younger.id, version)
    if version is None or oid is None:
        return None
    manifest = load_manifest(store.objects_of(pair.younger.id), oid)
    note = split_merge_note(manifest.message)[1]
    is_update = note is not None and note.volume_id == pair.older.id
    return Meeting(version, pair.older, note.version) if note and is_update else None


def _find_in_older(store: Store, pair: Pair, origin: ForkedFrom | None) -> Meeting | None:
    """The last merge of the younger volume into the older one."""
    is_fork = origin is not None and origin.volume_id == pair.older.id
    after = origin.version if origin is not None and is_fork else 0
    found = _find_note(store, pair.older, pair.younger, after)
    return found and Meeting(found[1].version, pair.younger, found[1].version)


def _find_in_younger(store: Store, pair: Pair) -> Meeting | None:
    """The last merge of the older volume into the younger one."""
    found = _find_note(store, pair.younger, pair.older, 0)
    return found and Meeting(found[0], pair.older, found[1].version)


def _find_note(
    store: Store, into: VolumeRecord, of: VolumeRecord, after: int
) -> tuple[int, MergeNote] | None:
    """The newest version with a note of a merge of the volume ``of``."""
    for head, manifest in iter_manifests(store, into, after):
        note = split_merge_note(manifest.message)[1]
        if note is not None and note.volume_id == of.id:
            return head.version, note
    return None
