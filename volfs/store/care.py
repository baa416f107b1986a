"""What the care of a store is asked and what it answers: gc, repair, rebuilding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from volfs.model.objects import Oid
from volfs.model.references import Reference
from volfs.store.clock import Moment, Steady


class Live(Protocol):
    """The objects that gc keeps. It grows while gc runs, for others publish meanwhile."""

    def keep(self, roots: Iterable[Reference]) -> None:
        """Add these and everything below them.

        Raises if anything of it cannot be read or is not there: then gc ends,
        and nothing that may be in use has been removed.
        """

    def __contains__(self, oid: Oid, /) -> bool: ...


_BELIEVED = b"\1" * 16
"""The run of a machine whose wall clock nobody sets: it is that of tests."""


class GcOptions(NamedTuple):
    now_ns: int
    grace_ns: int
    """How long a pack stays in quarantine before it is deleted."""
    dry_run: bool = False
    stale: frozenset[str] = frozenset()
    """Sessions whose leases keep nothing: a dry run may not drop them."""
    steady: Steady | None = None
    """The time by a clock that nobody sets; without it, ``now_ns`` is believed."""
    renew: bool = False
    """Whether packs of a former volfs are rewritten, however much of them is in use."""

    @property
    def moment(self) -> Moment:
        return Moment(self.steady or Steady(_BELIEVED, self.now_ns), self.now_ns)


class GcProgress(NamedTuple):
    """After each step that a crash may follow: what gc does, how far, in bytes."""

    step: str
    done: int
    total: int


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
