"""The distributed engine's ``Refs``, without ``publish``, which needs uploads.

Each change is one line, so two writers never overwrite each other: whoever was late decides anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from volfs.buckets.access import Bucket
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    LimitError,
    NotFoundError,
    StoreError,
    VolfsError,
    VolumeInUseError,
)
from volfs.model.logs.line import LINE_LIMIT
from volfs.model.logs.version_table import to_ranges
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    VolumeDeleted,
    VolumeForked,
    VolumeNamed,
    carry,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.model.names import MAIN
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, Tag, VolumeRecord, describe_missing
from volfs.store.distributed.checkpoints.plain_logs import (
    CATALOG_KIND,
    CatalogFollower,
    follow_plain,
)
from volfs.store.distributed.refs.facts_of_records import to_facts, to_record
from volfs.store.distributed.refs.line_records import encode_records
from volfs.store.distributed.refs.volume_logs import VolumeLogs, find_head, require
from volfs.store.distributed.refs.volume_names import VolumeNames
from volfs.store.distributed.refs.volume_view import VolumeView

ROOM_OF_MANIFESTS = 1 << 20
"""Bytes of a fork's first line that its own manifests may take."""
_log = logging.getLogger(__name__)


class BucketRefs:
    """``store.contract.refs.Refs``, except ``publish``. Thread-safe.

    ``list_leases`` gives the leases that are in force.
    """

    def __init__(
        self,
        bucket: Bucket,
        list_leases: Callable[[], list[Lease]],
        logs: VolumeLogs | None = None,
        catalog: CatalogFollower | None = None,
    ) -> None:
        self.logs = VolumeLogs(bucket) if logs is None else logs
        catalog = follow_plain(bucket, CATALOG_KIND) if catalog is None else catalog
        self.names = VolumeNames(catalog, lambda volume: self.logs.find(volume) is not None)
        self._list_leases = list_leases

    # --- volumes ---------------------------------------------------------

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        created = VolumeCreated(to_facts(record), _number((manifest,)))
        self._check_free(record)
        self._begin(record, created, (manifest,), 0)

    def fork_volume(
        self, record: VolumeRecord, manifests: tuple[bytes, bytes], source: str, version: int
    ) -> None:
        self._check_free(record)
        _ = self.logs.open(source).known  # So that a checkpoint is known, if there is one.
        beside = self.logs.open_whole(source).checkpoints.newest  # Not newer than the state.

        def decide(state: VolumeState) -> Sequence[VolumeChange]:
            view = VolumeView(source, state, beside)
            _check_room(record, _make_fork(record, manifests, view))
            return [VolumeForked(record.id, version)]

        state = self._change(source, decide, guess=True)
        created = _make_fork(record, manifests, VolumeView(source, state, beside))
        self._begin(record, created, manifests, state.era)

    def _begin(
        self, record: VolumeRecord, created: VolumeCreated, manifests: Sequence[bytes], era: int
    ) -> None:
        """Begin a volume's log, then give the volume its name. The log ends if the name is
        taken."""
        records = encode_records((Kind.MANIFEST, manifest) for manifest in manifests)
        carried = carry(created, len(manifests), len(records))
        if not self.logs.begin(record.id, [carried], records, era):
            raise _explain_taken(record, created)
        if _is_named(record):
            try:
                self.names.give(created.facts)
            except AlreadyExistsError:
                self._change(record.id, lambda _: [VolumeDeleted()])
                raise

    def _check_free(self, record: VolumeRecord) -> None:
        if _is_named(record):
            self.names.check_free(to_facts(record))

    def get_volume(self, name: str, environment: str = MAIN) -> VolumeRecord:
        state = self.logs.find(name)
        if state is not None and state.facts is not None:
            record = to_record(state.facts)
            if not _is_named(record) and record.environment == environment:
                return record
        facts = self.names.get(name, environment)
        if not self.logs.seems_there(facts.id):
            raise NotFoundError(describe_missing(name, environment))
        return to_record(facts)

    def find_volume_by_id(self, volume_id: str) -> VolumeRecord | None:
        state = self.logs.find(volume_id)
        if state is None or state.facts is None:
            return None
        return to_record(self.names.find_by_id(volume_id) or state.facts)

    def list_volumes(self) -> list[VolumeRecord]:
        records = map(to_record, self.names.list_all())
        return sorted(records, key=lambda record: (-record.created_ns, record.name))

    def rename_volume(
        self, old: str, new: str, environment: str = MAIN, to: str | None = None
    ) -> None:
        facts = self.names.rename(old, new, environment, to or environment)
        self._note_name(facts.id, new, to or environment)

    def rename_environment(self, old: str, new: str) -> None:
        for facts in self.names.rename_environment(old, new):
            self._note_name(facts.id, facts.name, new)

    def _note_name(self, volume_id: str, name: str, environment: str) -> None:
        """Tell the volume's log its name, for the day on which the catalog is lost. The volume has
        the name already, so a failure changes nothing."""
        try:
            self._change(volume_id, lambda _: [VolumeNamed(name, environment)])
        except (StoreError, NotFoundError) as error:
            _log.info("%s: its log does not have its new name: %s", volume_id, error)

    def delete_volume(self, name: str, environment: str = MAIN) -> None:
        record = self.get_volume(name, environment)
        for lease in self._list_leases():
            # What a reader holds, it reads to the end, whether or not the volume is there.
            if lease.volume_id == record.id and not lease.is_hold:
                raise VolumeInUseError(
                    f"{record.full_name}: the mount {lease.session} is beginning, or died as it "
                    "began; `volfs overlays` shows it"
                )
        self._change(record.id, lambda _: [VolumeDeleted()])
        self.names.remove(record.id)

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        return _head_of(self.logs.get(volume_id))

    def guess_head(self, volume_id: str) -> Head:
        return _head_of(self.logs.guess(volume_id))

    def find_head_ready(self, volume_id: str) -> Head | None:
        return None

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        state = self.logs.find(volume_id)
        row = None if state is None else self.logs.find_row(volume_id, state, version)
        return None if row is None else row.manifest

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        state = self.logs.find(volume_id)
        if state is not None:
            for version, row in self.logs.iter_rows(volume_id, state):
                yield Head(version, row.manifest)

    def remove_versions(self, volume_id: str, versions: Collection[int]) -> list[int]:
        removed: list[int] = []

        def decide(state: VolumeState) -> Sequence[VolumeChange]:
            removed[:] = sorted(self._choose_removed(state, volume_id, set(versions)))
            return [VersionsExpired(to_ranges(removed))] if removed else []

        self._change(volume_id, decide)
        return removed

    def list_held(self, volume_id: str) -> Collection[int]:
        """The versions of a volume that are known to be held. None here: nobody holds any."""
        return ()

    def _choose_removed(
        self, state: VolumeState, volume_id: str, versions: set[int]
    ) -> Iterator[int]:
        """Those of the versions that nothing keeps."""
        leases = [lease for lease in self._list_leases() if lease.volume_id == volume_id]
        held = self.list_held(volume_id)
        for version in versions:
            is_kept = version == state.versions.head or version in state.tagged
            is_kept = is_kept or version in held or any(lease.has(version) for lease in leases)
            if state.versions.has(version) and not is_kept:
                yield version

    # --- tags ------------------------------------------------------------

    def put_tag(self, volume_id: str, tag: str, version: int, *, move: bool = False) -> None:
        def decide(state: VolumeState) -> Sequence[VolumeChange]:
            is_so = state.tags.get(tag) == version
            return [] if is_so else [VersionTagged(tag, version, move)]

        self._change(volume_id, decide)

    def list_tags(self, volume_id: str) -> list[Tag]:
        state = self.logs.find(volume_id)
        return [] if state is None else [Tag(*item) for item in sorted(state.tags.items())]

    def delete_tag(self, volume_id: str, tag: str) -> None:
        def decide(state: VolumeState) -> Sequence[VolumeChange]:
            if tag not in state.tags:
                raise NotFoundError(f"no tag {tag}")
            return [VersionTagged(tag)]

        self._change(volume_id, decide)

    # --- inside ----------------------------------------------------------

    def _change(
        self,
        volume_id: str,
        decide: Callable[[VolumeState], Sequence[VolumeChange]],
        *,
        guess: bool = False,
    ) -> VolumeState:
        """Change a living volume by what its newest state asks for. NotFoundError."""
        follower = self.logs.open(volume_id)
        state = follower.change(lambda state: decide(require(volume_id, state)), guess=guess)
        assert state is not None
        return state


def _check_room(record: VolumeRecord, created: VolumeCreated) -> None:
    """LimitError if the source of a fork has more packs than the fork's first line can name."""
    if len(VOLUME_CHANGES.encode([created])) > LINE_LIMIT - ROOM_OF_MANIFESTS:
        raise LimitError(
            f"{record.full_name}: a fork would have to name {len(created.packs):,} packs and lines "
            "of its source, which are too many for one line; run `volfs gc`, and fork again"
        )


def _explain_taken(record: VolumeRecord, created: VolumeCreated) -> VolfsError:
    """Why the first line of a new volume is another's."""
    if created.source:
        return ConflictError(f"{record.full_name}: the fork took too long; fork again")
    return AlreadyExistsError(f"volume {record.id}: already exists")


def _is_named(record: VolumeRecord) -> bool:
    """Whether the volume has a name of its own. An ephemeral one is not in the catalog."""
    return record.name != record.id


def _head_of(state: VolumeState) -> Head:
    return Head(state.versions.head, find_head(state).manifest)


def _number(manifests: Sequence[bytes]) -> tuple[tuple[int, Oid], ...]:
    oids = (compute_oid(Kind.MANIFEST, manifest) for manifest in manifests)
    return tuple(enumerate(oids))


def _make_fork(record: VolumeRecord, manifests: Sequence[bytes], view: VolumeView) -> VolumeCreated:
    """The beginning of a fork: it reads from all that its source reads from at this line."""
    source = view.alive
    rows = source.packs.list_oldest_first()
    return VolumeCreated(
        to_facts(record),
        _number(manifests),
        view.volume_id,
        source.number,
        packs=tuple(row.pack for row in rows),
        closed=tuple(row.pack.name for row in rows if not row.is_open),
        forwards=tuple(sorted(source.packs.forwards.items())),
        segments=tuple(view.list_logged_segments()),
    )
