"""Garbage collection: what is in use, found from the versions and leases down.

The engine decides what to do with everything else (``Care.collect``). Anything that cannot be read
ends a collection, because nothing unknown may be removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from volfs.errors import DataError, MissingObjectError
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.oid_set import OidSet
from volfs.model.progress import Progress, Report, report_nothing
from volfs.model.references import Reference, walk_references
from volfs.sessions.liveness import drop_stale_leases, list_stale_leases
from volfs.store.clock import now_ns, read_steady
from volfs.store.contract.care import GcOptions, GcReport
from volfs.store.contract.objects import Objects
from volfs.store.contract.store import Store
from volfs.volume.gc_notes import note_collection

DEFAULT_GRACE = 24 * 3600.0
"""The default time in quarantine, in seconds: longer than any commit takes."""
_NS = 1_000_000_000
_REPORT_STEP = 1 << 10


def collect_garbage(
    store: Store,
    *,
    grace: float = DEFAULT_GRACE,
    dry_run: bool = False,
    renew: bool = False,
    max_rewrite: int | None = None,
    report: Report = report_nothing,
) -> GcReport:
    """Remove what no version and no lease needs. With ``dry_run``, only report what that would be.

    Packs are in quarantine for ``grace`` seconds before they are deleted. Leases of sessions that
    are gone are dropped first. A dry run changes nothing. With ``renew``, packs of a former volfs
    are rewritten, however much of them is in use. ``max_rewrite`` bounds what is copied, in bytes.
    ConflictError if another gc is running;
    DataError if what is in use cannot be read; StoreError.
    """
    stale = list_stale_leases(store) if dry_run else []
    if not dry_run:
        drop_stale_leases(store)
    options = GcOptions(
        now_ns(), int(grace * _NS), dry_run, frozenset(stale), read_steady(), renew, max_rewrite
    )
    result = store.care.collect(Mark(store, report), options, report)
    if not dry_run:
        note_collection(store, result)
    return result


class Mark:
    """A ``store.contract.care.Live``: everything below the roots that it was told to keep."""

    def __init__(self, store: Store, report: Report = report_nothing) -> None:
        self._store = store
        self._report = report
        # Two sets, so that a reference that calls a tree a chunk cannot hide what is below the
        # tree.
        self._chunks, self._others = OidSet(), OidSet()

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._others or oid in self._chunks

    def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
        """Keep the roots, and all below them. DataError if anything there is damaged, or missing
        and not known to be lost."""
        try:
            walk_references(list(roots), partial(self._visit, self._store.objects_of(volume_id)))
        except DataError as error:
            raise type(error)(
                f"{error}; what it leads to cannot be known, so nothing may be removed: "
                "see `volfs check`, then `volfs check --repair`"
            ) from error

    def _visit(self, objects: Objects, reference: Reference) -> Buffer | None:
        kind, oid = reference
        seen = self._chunks if kind == Kind.CHUNK else self._others
        if oid in seen:
            return None
        # A successful read proves nothing, because the place of an object is remembered for a
        # while.
        if not objects.is_there(oid):
            # The object is not marked as seen, because a commit may put it again, with what is
            # below it.
            self._check_lost(oid)
            return None
        seen.add(oid)
        if len(self._others) % _REPORT_STEP == 0:
            self._report(Progress(len(self._others) + len(self._chunks), 0, 0, 0))
        return None if kind == Kind.CHUNK else objects.load_object(oid)

    def _check_lost(self, oid: Oid) -> None:
        """MissingObjectError unless a repair has looked for the object in every pack and not found
        it."""
        if not self._store.care.is_lost(oid):
            raise MissingObjectError(f"object {oid.hex()} is missing")
