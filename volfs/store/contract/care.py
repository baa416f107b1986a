"""Care: gc, check, repair and recovery of a store, with their options and their reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

from volfs.model.objects import Oid
from volfs.model.progress import Report, report_nothing
from volfs.model.references import Reference
from volfs.store.clock import Moment, Steady
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, VolumeRecord

P = TypeVar("P")


class Space(NamedTuple):
    """Bytes of the disk that stores new data, as ``statvfs`` reports them."""

    total: int
    free: int


class StoredSize(NamedTuple):
    """What the packs of a store take, without the index and what mounts have not committed."""

    packs: int
    bytes: int
    """Bytes of all packs, those in quarantine included."""
    waiting_packs: int
    waiting_bytes: int
    """Packs that gc has put into quarantine, and that a later gc deletes."""

    @classmethod
    def add_up(cls, sizes: Mapping[P, int], waiting: Collection[P]) -> StoredSize:
        """The sum of the bytes of each pack. ``waiting`` are the packs in quarantine."""
        aside = [size for pack, size in sizes.items() if pack in waiting]
        return cls(len(sizes), sum(sizes.values()), len(aside), sum(aside))


class Damage(NamedTuple):
    """One finding of ``iter_damage``. ``oid`` is None if the object cannot be known."""

    oid: Oid | None
    where: str
    """The pack and the offset in it, or the index record, in words."""
    problem: str


Tell = Callable[[str, str], None]
"""``tell(where, what)``: something odd that is no damage, and that people should know."""


def tell_nobody(where: str, what: str) -> None:
    """The ``Tell`` of those who want no oddities."""


class Live(Protocol):
    """The objects that gc keeps. The set grows while gc runs, because others publish meanwhile."""

    def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
        """Add these roots of one volume, and everything below them.

        Raises if any of these objects is missing or cannot be read. Then gc ends, and nothing that
        may be in use has been removed. An empty ``volume_id`` stands for a volume that was deleted
        while one of its versions was held.
        """

    def __contains__(self, oid: Oid, /) -> bool: ...


_BELIEVED = b"\1" * 16
"""The boot id of a pretended machine whose wall clock nobody sets; tests use it."""


class GcOptions(NamedTuple):
    now_ns: int
    grace_ns: int
    """How long a pack stays in quarantine before it is deleted."""
    dry_run: bool = False
    ended: frozenset[Lease] = frozenset()
    """Leases that keep nothing. A dry run treats them as if they had been dropped before it."""
    steady: Steady | None = None
    """The time by a clock that nobody sets. Without it, gc believes ``now_ns``."""
    renew: bool = False
    """Whether gc rewrites packs of a former volfs, however much of each is in use."""
    max_rewrite: int | None = None
    """The most bytes of objects in use that gc copies. The rest is for the next run."""

    @property
    def moment(self) -> Moment:
        return Moment(self.steady or Steady(_BELIEVED, self.now_ns), self.now_ns)


class GcReport(NamedTuple):
    """What gc did, or what a dry run would do. Bytes are bytes of files on the disk, unless a
    field says otherwise."""

    live_objects: int = 0
    live_bytes: int = 0
    """Stored bytes of objects in use, with their headers."""
    dropped_packs: int = 0
    rewritten_packs: int = 0
    rewritten_bytes: int = 0
    """Stored bytes that were copied."""
    quarantined_bytes: int = 0
    """Bytes of the packs that were dropped or rewritten."""
    busy_packs: int = 0
    """Packs that gc left alone because somebody writes to them."""
    deleted_packs: int = 0
    deleted_bytes: int = 0
    waiting_packs: int = 0
    waiting_bytes: int = 0
    """Bytes in quarantine at the end of gc."""
    starved_packs: int = 0
    """Packs that gc left as they are, because the disk had no room for the copies of their live
    objects."""


class Undeleted(NamedTuple):
    packs: int = 0
    objects: int = 0
    missing_packs: int = 0
    """Packs in quarantine whose files are gone or cut short."""
    damaged_packs: int = 0
    """Packs that a repair put into quarantine. They stay there; what could be read of them was
    copied, and is in use."""


class RepairReport(NamedTuple):
    """What a repair changed. All fields are 0 if nothing was wrong, or nothing could be mended."""

    found_packs: int = 0
    """Pack files that were not in the index."""
    indexed_objects: int = 0
    lost_objects: int = 0
    """Objects that were in the index and of which no readable record is left."""
    rewritten_packs: int = 0
    forgotten_packs: int = 0
    """Packs that were in the index and whose files are gone."""
    mended_heads: int = 0
    mended_counters: int = 0
    mended_rows: int = 0
    """Rows of names, of tags, of the quarantine, and of lost objects."""
    mended_names: int = 0
    """Damaged lines of the name log, and names and tags that the log lacked. In a bucket: names
    that the catalog lacked."""
    mended_logs: int = 0
    """Logs of a bucket that can be read again, or whose checkpoints or index segments were
    damaged."""
    busy_packs: int = 0
    """Damaged packs that somebody writes to. Repair again when nobody does."""

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
    """Whether the former index could not be read. Then volumes have to be recovered from
    manifests."""
    lost_rows: int = 0
    """Damaged rows of the former index that were left out, such as tags or leases. Rows of refs
    are not counted."""
    damaged_names: int = 0
    """Damaged lines of the name log. A name or a tag that was taken from the log may be out of
    date."""


class Named(NamedTuple):
    """A volume's name and tags as they are known beside the index."""

    name: str | None
    """The volume's full name, if it got one after its creation. Empty if the volume was
    deleted."""
    tags: dict[str, int]


class Care(Protocol):
    """What keeps a store whole, and what restores it."""

    def prove(self) -> None:
        """Raise StoreReplacedError if another store is at the address than the one that was
        opened.

        From then on everything that would write raises the error, and reading goes on from the
        store that was opened.
        """

    def find_missed(self) -> str:
        """The message for a store that is older than what this machine saw acknowledged; else
        empty.

        The message is also logged when the store is opened, until it is accepted.
        """

    def accept_missed(self) -> None:
        """Accept what is missing: ``find_missed`` reports it no more."""

    def find_space(self) -> Space | None:
        """The space of the store's disk. None for a store that has no size, such as a bucket."""

    def measure(self) -> StoredSize:
        """How much is stored. No pack is read. StoreError."""

    def iter_damage(
        self,
        *,
        read_data: bool = True,
        quick: bool = False,
        report: Report = report_nothing,
        tell: Tell = tell_nobody,
    ) -> Iterator[Damage]:
        """Read every stored byte and every index record, and yield what is wrong.

        The last report says how many bytes there are. All stored bytes are compared with their
        checksums. Chunks are decompressed and their ids computed only with ``read_data``; for all
        other objects this is always done. An engine may always do it for chunks, too.

        With ``quick`` no record in a pack is read, and only the lengths of packs are compared.
        ``tell`` gets what is odd and no damage, such as objects that nothing needs.
        """

    def is_lost(self, oid: Oid) -> bool:
        """Whether a repair found no readable record of the object. The object may have been put
        again since."""

    def collect(self, live: Live, options: GcOptions, report: Report = report_nothing) -> GcReport:
        """Remove what is not live. Reports after each step that a crash may follow.

        ``live.keep`` gets the roots: the manifests of all versions, heads and holds, and the needs
        of all leases. It gets them again and again, until no root can have been added before
        something is removed. What is removed stays in quarantine for the time of grace. It can
        still be read there, though ``contains`` denies it, and a ``publish`` that relies on it
        brings it back.

        Objects of open uploads are left alone. After any error, nothing has been removed that is
        not dead, and nothing has been deleted that was not in quarantine before. ConflictError if
        another gc or repair is running.
        """

    def undelete(self) -> Undeleted:
        """Bring back everything that gc put into quarantine. ConflictError as for ``collect``."""

    def repair(self, report: Report = report_nothing) -> RepairReport:
        """Make the index say what is stored.

        Afterwards ``iter_damage`` finds nothing, and a second repair changes nothing, except if
        packs were busy. ConflictError as for ``collect``.
        """

    # --- recovery: when refs are lost ------------------------------------

    def iter_manifests(self) -> Iterator[tuple[Oid, bytes]]:
        """Every manifest that is stored and readable, whether or not a version has it."""

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        """Add a volume with these versions, which must all be stored, and those of the tags that
        it lacks.

        AlreadyExistsError if a volume has the name or the id.
        """

    def list_named(self) -> dict[str, Named]:
        """The names and tags of volumes, by volume id, from the record that is kept for
        recovery."""

    def has_lost_refs(self) -> bool:
        """Whether the index was rebuilt without its refs, and they have not been recovered
        since."""

    def end_recovery(self) -> None:
        """Record that the refs which were lost with the index are recovered, as far as
        possible."""
