"""Merging a fork: its changes become the next version of the volume that it was forked from.

The changes are those since the last meeting of the two volumes (``meeting``). They are merged with
the head of the other volume path by path, by the rules of ``model/merge.py``. What the merged
version needs and the other volume lacks is put into an upload there, and published with the
version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, NamedTuple

from volfs.errors import InvalidError, MissingObjectError, NotFoundError, OverriddenError
from volfs.errors.fault_points import reached
from volfs.model.changes import Change, iter_changes
from volfs.model.manifest import MESSAGE_MAX, Snapshot, check_message
from volfs.model.merge import OverriddenChange, merge_snapshots
from volfs.model.merge_note import MergeNote, add_merge_note
from volfs.model.names import show_path
from volfs.model.objects import Kind, Load, Oid
from volfs.model.profile import get_profile
from volfs.model.progress import Report, report_nothing
from volfs.model.references import Reference
from volfs.model.text import cut_stored
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.adding_sums import add_sums
from volfs.volume.commit import CommitNote, CommitTarget, publish_snapshot
from volfs.volume.leases import held_version
from volfs.volume.meeting import (
    Meeting,
    find_origin,
    get_meeting,
    order_pair,
    tag_meeting,
)
from volfs.volume.replicas.chunk_sender import ChunkSender, check_same
from volfs.volume.replicas.incoming import IncomingVolume
from volfs.volume.replicas.new_objects import iter_new_below
from volfs.volume.replicas.version_count import VersionCount
from volfs.volume.version_reader import Reader

OnBoth = Literal["override", "keep", "fail"]
"""If both volumes changed a path: take the fork's, take the other volume's, or raise an error."""
_NOTE_ROOM = 128


@dataclass(frozen=True, slots=True)
class MergeOptions:
    message: str = ""
    on_conflict: OnBoth = "override"
    since: Head | None = None
    """The version of the fork after which its changes count. None: the last meeting."""
    dry_run: bool = False


DEFAULT = MergeOptions()


class Conflict(NamedTuple):
    """A path that both volumes changed, and what each did: created, modified or removed."""

    path: tuple[bytes, ...]
    fork: str
    into: str


class VersionOf(NamedTuple):
    """A version of a volume."""

    volume: VolumeRecord
    head: Head


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge has brought, or would bring."""

    since: VersionOf
    """The base. The changes that came after it were merged."""
    merged: Head
    """The fork's version that was merged."""
    before: Head
    after: Head
    """The other volume's newest version before and after. They are the same if no version was
    made."""
    changes: list[Change]
    """How the version ``after`` differs from ``before``, by path."""
    conflicts: list[Conflict]
    is_kept: bool
    """Whether the other volume's side of each conflict was kept."""
    new_objects: int
    new_bytes: int

    @property
    def is_published(self) -> bool:
        return self.after != self.before


def get_merge_target(store: Store, fork: VolumeRecord) -> VolumeRecord:
    """The volume that a fork was made from. NotFoundError if that is not known, or is gone."""
    origin = find_origin(store, fork)
    if origin is None:
        raise NotFoundError(
            f"{fork.full_name}: nothing tells that it is a fork; name the volume that takes its "
            f"changes: volfs merge {fork.full_name} INTO"
        )
    into = store.refs.find_volume_by_id(origin.volume_id)
    if into is None:
        raise NotFoundError(
            f"{fork.full_name}: the volume that it was forked from is not in this store any more; "
            f"name another that takes its changes: volfs merge {fork.full_name} INTO"
        )
    return into


def merge_volume(
    store: Store,
    fork: VolumeRecord,
    into: VolumeRecord,
    options: MergeOptions = DEFAULT,
    report: Report = report_nothing,
) -> MergeReport:
    """Bring the changes of ``fork`` into ``into``, as its next version if that differs.

    InvalidError if nothing tells where the fork's changes begin; NotFoundError if that version was
    expired, or a volume is gone; OverriddenError if the options ask for it and both volumes changed
    a path; LimitError if the profile forbids the result. On any error nothing is published.
    """
    if fork.id == into.id:
        raise InvalidError(f"{fork.full_name}: a volume cannot be merged into itself")
    check_message(options.message)
    with ExitStack() as stack:
        return _Merge(store, fork, into, options, stack, VersionCount(report)).run()


class _Merged(NamedTuple):
    theirs: Snapshot
    snapshot: Snapshot
    conflicts: list[Conflict]


class _Merge:
    """One call of ``merge_volume``."""

    def __init__(
        self,
        store: Store,
        fork: VolumeRecord,
        into: VolumeRecord,
        options: MergeOptions,
        stack: ExitStack,
        count: VersionCount,
    ) -> None:
        self._store = store
        self._fork = fork
        self._into = into
        self._options = options
        self._count = count
        self._pair = order_pair(store, fork, into)
        self._newest = stack.enter_context(
            held_version(store, fork, lambda: store.refs.get_head(fork.id))
        )
        self._upload = stack.enter_context(store.open_upload(into.id))
        self._incoming = IncomingVolume(store, into)

    def run(self) -> MergeReport:
        """Merge and swap, until no other swap comes between."""
        while True:
            since = self._find_base()
            brought = self._attempt(since)
            if brought is not None:
                return brought

    # --- the base --------------------------------------------------------

    def _find_base(self) -> VersionOf:
        if self._options.since is not None:
            return VersionOf(self._fork, self._options.since)
        meeting = get_meeting(self._store, self._pair)
        bases = self._list_bases(meeting)
        for volume, version in bases:
            oid = self._store.refs.find_version(volume.id, version)
            if oid is not None:
                return VersionOf(volume, Head(version, oid))
        volume, version = bases[0]
        raise NotFoundError(
            f"{volume.full_name}: version {version}, after which the changes of "
            f"{self._fork.full_name} count, was expired; name a version of "
            f"{self._fork.full_name} with --since"
        )

    def _list_bases(self, meeting: Meeting) -> list[tuple[VolumeRecord, int]]:
        """The versions with the content of the base. Where a fork begins there are two: its
        version 1, and the version that it was forked from."""
        bases = [(meeting.volume, meeting.base)]
        is_beginning = meeting.volume == self._pair.younger and meeting.base == 1
        origin = find_origin(self._store, meeting.volume) if is_beginning else None
        source = origin and self._store.refs.find_volume_by_id(origin.volume_id)
        return [*bases, (source, origin.version)] if origin and source else bases

    # --- one attempt -----------------------------------------------------

    def _attempt(self, since: VersionOf) -> MergeReport | None:
        """Merge onto the head as it is now. None if another version came first."""
        with held_version(self._store, since.volume, lambda: since.head):
            return self._merge_since(since)

    def _merge_since(self, since: VersionOf) -> MergeReport | None:
        before = self._store.refs.get_head(self._into.id)
        reader = Reader(self._find_load(since.volume))
        merged = self._merge_onto(reader, since, before)
        changes = list(iter_changes(reader.get_tree, merged.theirs, merged.snapshot))
        after: Head | None = before
        if merged.snapshot != merged.theirs and not self._options.dry_run:
            after = self._publish(reader.load, before, merged)
        if after is None:
            return None
        self._note_meeting(before, after)
        sizes = (self._upload.new_objects, self._upload.new_bytes)
        keep = self._options.on_conflict == "keep"
        return MergeReport(
            since, self._newest, before, after, changes, merged.conflicts, keep, *sizes
        )

    def _merge_onto(self, reader: Reader, since: VersionOf, head: Head) -> _Merged:
        get, put = reader.get_tree, self._upload.put_object
        base, ours, theirs = (
            reader.load_manifest(oid).snapshot
            for oid in (since.head.manifest, self._newest.manifest, head.manifest)
        )
        if base == ours:
            return _Merged(theirs, theirs, [])
        keep = self._options.on_conflict == "keep"
        first, second = (theirs, ours) if keep else (ours, theirs)
        limits = get_profile(self._into.profile)
        snapshot, overridden = merge_snapshots(get, put, base, first, second, limits)
        conflicts = [_as_conflict(change, keep) for change in overridden]
        if conflicts and self._options.on_conflict == "fail":
            raise OverriddenError(self._describe(conflicts))
        return _Merged(theirs, add_sums(reader, put, snapshot), conflicts)

    def _publish(self, load: Load, before: Head, merged: _Merged) -> Head | None:
        self._bring(load, merged)
        reached("merge.brought")
        text = self._options.message or self._describe_merge()
        message = cut_stored(text, MESSAGE_MAX - _NOTE_ROOM)
        note = MergeNote(self._fork.id, self._newest.version)
        target = CommitTarget(self._store, self._upload, self._into)
        commit_note = CommitNote(add_merge_note(message, note))
        return publish_snapshot(target, before, merged.snapshot, commit_note)

    def _bring(self, load: Load, merged: _Merged) -> None:
        """Put into the upload what the merged version needs and the head lacks, or rely on it if
        the store has it."""
        roots, others = _list_roots(merged.snapshot), _list_roots(merged.theirs)
        news = [root for root in roots if root not in others]
        olds = [root for root in others if root not in roots]
        with ChunkSender(load, self._upload, self._incoming, self._count.add_bytes) as chunks:
            for found in iter_new_below(load, news, load, olds):
                if found.data is None:
                    chunks.send(found.oid)
                elif not self._upload.rely_on(found.oid):
                    check_same(found.oid, self._upload.put_object(found.kind, found.data))
            chunks.finish()

    def _note_meeting(self, before: Head, after: Head) -> None:
        """Tag the meeting, and remove savepoints of chunks that are published now."""
        if self._options.dry_run:
            return
        reached("merge.published")
        if self._pair.younger == self._fork:
            tag_meeting(self._store, self._pair, self._newest.version, update=False)
        elif after != before:
            tag_meeting(self._store, self._pair, after.version, update=True)
        self._incoming.delete()

    def _find_load(self, base: VolumeRecord) -> Load:
        """Loads objects of the fork, of the upload with its volume, and of the base."""
        loads = [self._store.objects_of(self._fork.id).load_object, self._upload.load_object]
        if base.id not in (self._fork.id, self._into.id):
            loads.append(self._store.objects_of(base.id).load_object)
        return _first_of(loads)

    # --- words -----------------------------------------------------------

    def _describe_merge(self) -> str:
        return f"merge {self._fork.full_name} at version {self._newest.version}"

    def _describe(self, conflicts: list[Conflict]) -> str:
        shown = ", ".join(show_path(item.path) for item in conflicts[:5])
        more = f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
        fork, into = self._fork.full_name, self._into.full_name
        return (
            f"{fork} and {into} both changed {shown}{more}; nothing was merged; --on-conflict "
            f"override takes what {fork} has, --on-conflict keep what {into} has"
        )


def _as_conflict(change: OverriddenChange, keep: bool) -> Conflict:
    path, theirs, ours = change
    return Conflict(path, theirs, ours) if keep else Conflict(path, ours, theirs)


def _list_roots(snapshot: Snapshot) -> list[Reference]:
    roots = (Oid(snapshot.root.tree), snapshot.links)
    return [Reference(Kind.TREE, oid) for oid in roots if oid]


def _first_of(loads: Sequence[Callable[[Oid], bytes]]) -> Load:
    """Loads an object from the first place that has it."""

    def load(oid: Oid) -> bytes:
        for each in loads[:-1]:
            try:
                return each(oid)
            except MissingObjectError:
                continue
        return loads[-1](oid)

    return load
