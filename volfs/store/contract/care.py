"""Care: gc, check, repair and recovery of a store; what they are asked and what they answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from volfs.model.objects import Oid
from volfs.model.progress import Report, report_nothing
from volfs.model.references import Reference
from volfs.store.clock import Moment, Steady
from volfs.store.contract.leases import Lease
from volfs.store.contract.refs import Head, VolumeRecord


class Space(NamedTuple):
    """Bytes of the disk that stores new data; what ``statvfs`` reports."""

    total: int
    free: int


class Damage(NamedTuple):
    """One finding of ``iter_damage``. ``oid`` is None where it cannot be known."""

    oid: Oid | None
    where: str
    """Pack and offset, or the index record, in words."""
    problem: str


class Live(Protocol):
    """The objects that gc keeps. It grows while gc runs, for others publish meanwhile."""

    def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
        """Add these roots of one volume, and everything below them.

        Raises if anything of it cannot be read or is not there: then gc ends, and nothing
        that may be in use has been removed. An empty ``volume_id`` stands for a volume that
        was deleted while one of its versions was held.
        """

    def __contains__(self, oid: Oid, /) -> bool: ...


_BELIEVED = b"\1" * 16
"""The run of a machine whose wall clock nobody sets: it is that of tests."""


class GcOptions(NamedTuple):
    now_ns: int
    grace_ns: int
    """How long a pack stays in quarantine before it is deleted."""
    dry_run: bool = False
    ended: frozenset[Lease] = frozenset()
    """Leases that keep nothing: a dry run counts as if they had been dropped before."""
    steady: Steady | None = None
    """The time by a clock that nobody sets; without it, ``now_ns`` is believed."""
    renew: bool = False
    """Whether packs of a former volfs are rewritten, however much of them is in use."""

    @property
    def moment(self) -> Moment:
        return Moment(self.steady or Steady(_BELIEVED, self.now_ns), self.now_ns)


class GcReport(NamedTuple):
    """What gc did, or would do. Bytes are of files on the disk, where not said otherwise."""

    live_objects: int = 0
    live_bytes: int = 0
    """Stored bytes of objects in use, with their headers."""
    dropped_packs: int = 0
    rewritten_packs: int = 0
    rewritten_bytes: int = 0
    """Stored bytes that were copied."""
    quarantined_bytes: int = 0
    """Of the packs that were dropped or rewritten."""
    busy_packs: int = 0
    """Left alone because somebody writes to them."""
    deleted_packs: int = 0
    deleted_bytes: int = 0
    waiting_packs: int = 0
    waiting_bytes: int = 0
    """In quarantine when gc has ended."""
    starved_packs: int = 0
    """Left, for the disk had no room for what is in use in them."""


class Undeleted(NamedTuple):
    packs: int = 0
    objects: int = 0
    missing_packs: int = 0
    """In quarantine, but their files are gone or cut short."""
    damaged_packs: int = 0
    """Put there by a repair: they stay, and what could be read of them is in use elsewhere."""


class RepairReport(NamedTuple):
    """What a repair changed. Nothing, where all was well or cannot be bettered."""

    found_packs: int = 0
    """Pack files that the index did not know."""
    indexed_objects: int = 0
    lost_objects: int = 0
    """Of which the index knew and no readable record is left."""
    rewritten_packs: int = 0
    forgotten_packs: int = 0
    """Packs of which the index knew and whose files are gone."""
    mended_heads: int = 0
    mended_counters: int = 0
    mended_rows: int = 0
    """Of names, tags, the quarantine, and of what is lost."""
    mended_names: int = 0
    """Damaged lines of the name log, and names and tags that it did not have."""
    busy_packs: int = 0
    """Damaged, but somebody writes to them: repair again when nobody does."""

    @property
    def has_changed(self) -> bool:
        return any(self[:-1])


class RebuildReport(NamedTuple):
    packs: int
    objects: int
    bytes: int
    """Stored bytes of the packs."""
    damaged_packs: int
    refs_lost: bool
    """The former index could not be read: volumes have to be recovered from manifests."""
    lost_rows: int = 0
    """Of the former index, damaged and left out: tags, say, or leases. Without those of refs."""
    damaged_names: int = 0
    """Lines of the name log: a name or a tag that was taken from it may be an older one."""


class Named(NamedTuple):
    """What is known of a volume's names beside the index."""

    name: str | None
    """Its full name, if one was given later than at its creation; empty where it was deleted."""
    tags: dict[str, int]


class Care(Protocol):
    """What keeps a store whole, and what brings it back."""

    def prove(self) -> None:
        """StoreReplacedError if what is at its address is not the store that was opened.

        Then everything that would write raises it, and reading goes on from what was opened.
        """

    def find_missed(self) -> str:
        """Empty, unless it is older than what this machine saw acknowledged: then what to say.

        Also logged at the opening, until it is accepted.
        """

    def accept_missed(self) -> None:
        """What is missing is known: it is not told any more."""

    def find_space(self) -> Space | None:
        """None for a store that has no size, such as a bucket."""

    def iter_damage(
        self, *, read_data: bool = True, report: Report = report_nothing
    ) -> Iterator[Damage]:
        """Read every stored byte and every index record; yield what is wrong.

        The last that is reported is how many bytes there are.
        Checksums are compared of all that is stored. Chunks are decompressed and
        their ids computed only with ``read_data``, everything else always.
        """

    def is_lost(self, oid: Oid) -> bool:
        """Whether a repair found no readable record of it. It may be there again by now."""

    def collect(self, live: Live, options: GcOptions, report: Report = report_nothing) -> GcReport:
        """Remove what is not live. Reports after each step that a crash may follow.

        ``live.keep`` is handed the roots: the manifests of all versions, heads and
        holds and the needs of all leases; again and again, until no root can have been
        added before something is removed. What is removed stays in quarantine for
        the time of grace: it can be read, though ``contains`` denies it, and a
        ``publish`` that relies on it brings it back.
        Objects of uploads that are open are left alone. On any error nothing has
        been removed that is not dead, and nothing deleted that was not in
        quarantine before. ConflictError if another gc or repair is running.
        """

    def undelete(self) -> Undeleted:
        """Bring back all that gc put into quarantine. ConflictError as for ``collect``."""

    def repair(self, report: Report = report_nothing) -> RepairReport:
        """Make the index say what is stored.

        Afterwards ``iter_damage`` finds nothing, and a second repair changes
        nothing, but where packs were busy. ConflictError as for ``collect``.
        """

    # --- recovery: when refs are lost ------------------------------------

    def iter_manifests(self) -> Iterator[tuple[Oid, bytes]]:
        """Every manifest that is stored and can be read, whether a version has it or not."""

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        """Add a volume with these versions, all stored, and tags of them that it lacks.

        AlreadyExistsError by name or id.
        """

    def list_named(self) -> dict[str, Named]:
        """The names and tags of volumes, by id, as they were kept for their recovery."""

    def has_lost_refs(self) -> bool:
        """Whether the index was rebuilt without its refs, and they are not recovered yet."""

    def end_recovery(self) -> None:
        """Refs that were lost with the index have been recovered, as far as that can be."""
