"""gc of a store in a bucket, step by step. Why it is safe: docs/distributed.md, "gc".

Each step has a method of its own, with the name that the page gives it. No step relies on a clock.
Several gcs may run at once, and each may die at any step: what was begun is gone on with by the
next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress

from volfs.errors import ConflictError, DamagedObjectError, DataError
from volfs.errors.fault_points import reached
from volfs.model.collection import CollectionPlan
from volfs.model.logs.gc_log import (
    GC_CHANGES,
    GcChange,
    GcState,
    PacksCondemned,
    PacksDoomed,
    PacksReturned,
)
from volfs.model.objects import Kind
from volfs.model.progress import Report, report_bytes
from volfs.model.references import Reference
from volfs.model.segments.packs_named import NamedPack
from volfs.store.contract.care import GcOptions, GcReport, Live
from volfs.store.distributed.care.fences import FORK_PATIENCE_NS, Fences
from volfs.store.distributed.care.gc_clock import StoreClock
from volfs.store.distributed.care.gc_parts import GcParts
from volfs.store.distributed.care.gc_report import foretell, tell
from volfs.store.distributed.care.gc_roots import FoundRoots, KnownVolume
from volfs.store.distributed.care.gc_survey import Survey, Surveyor
from volfs.store.distributed.care.live_copies import LiveCopier, LiveCopies
from volfs.store.distributed.care.pack_marks import Marker, PackMarks, VolumeUse
from volfs.store.distributed.leases.revocation import delete_old_lines, revoke_stale
from volfs.store.distributed.log.follower import KnownLog

ATTEMPTS = 5
"""How often a run begins anew because another gc, or an undelete, was in its way."""
KnownGc = KnownLog[GcState | None]


class OvertakenError(Exception):
    """Another gc wrote the line that this one was about to write."""


class BucketCollector:
    """One run of gc."""

    fork_patience_ns = FORK_PATIENCE_NS
    """How long a fork may take to begin its log."""

    def __init__(self, parts: GcParts, live: Live, options: GcOptions, report: Report) -> None:
        self._parts = parts
        self._live = live
        self._options = options
        self._report = report
        self._follower = parts.follow()
        self._clock = StoreClock(parts.bucket)
        self._roots = parts.find_roots()
        self._fences = Fences(self._roots, parts.logs, self._clock, self.fork_patience_ns)
        self._sweeper = parts.sweep(self._follower.log)
        self._kept: dict[str, set[Reference]] = defaultdict(set)
        self._volumes: dict[str, KnownVolume] = {}
        """The logs of volumes as the last look found them."""

    def run(self) -> GcReport:
        """Collect. DataError if anything that is needed cannot be read; ConflictError if others
        are always in the way; StoreError. After an error nothing was removed that is needed."""
        if not self._options.dry_run:
            self.revoke()
        for _ in range(ATTEMPTS):
            try:
                report = self._run_once()
            except OvertakenError:
                continue
            if not self._options.dry_run:
                self.tidy()
            return report
        raise ConflictError("another gc of this store is running; wait for it")

    def _run_once(self) -> GcReport:
        known = self.read_gc()
        found = self.find_roots()
        self._check_eras(known, found)
        marks = self.mark(found, _state(known))
        survey = self.survey(found, _state(known), marks)
        if self._options.dry_run:
            due = self.list_due(_state(known))
            return foretell(_state(known), survey, due, marks, self._options)
        began = _state(known)
        self.delete(began, survey.left)
        known = self.condemn(known, survey, self.copy_live(survey.plan, marks))
        if self.fence(_state(known), found):
            known = self._end_grace(known)
        return tell(survey, began, _state(known))

    def _end_grace(self, known: KnownGc) -> KnownGc:
        """G7 to G9, for the packs whose grace is over."""
        due = self.list_due(_state(known))
        if due:
            known = self.judge(known, due)
        state = _state(known)
        if state.returned:
            self._sweeper.adopt_all(state, self._volumes)
        self.delete(state, due)
        return known

    # --- G1 --------------------------------------------------------------------------

    def read_gc(self) -> KnownGc:
        """G1: read the log of gc to its end. Its number is the newest era."""
        known = self._follower.refresh()
        while known.state is None:
            won = self._follower.propose(known, [])
            known = self._follower.known if won is None else won.known
        return known

    def revoke(self) -> None:
        """Revoke the leases that nobody renews any more. It may be wrong of any of them: that
        costs a mount its base, and no version its content."""
        revoke_stale(self._parts.leases.sessions, self._clock.read_ns())

    def _check_eras(self, known: KnownGc, found: FoundRoots) -> None:
        """DamagedObjectError if volumes were fenced at an era that the log of gc has not reached:
        its last lines are lost, and a fence of an era that comes twice would close nothing."""
        if found.newest_era > known.number and self._follower.refresh().number <= known.number:
            raise DamagedObjectError(
                f"gc/: a volume is at era {found.newest_era}, and the log of gc ends at "
                f"{known.number}: lines of gc are lost, so nothing may be removed"
            )
        if found.newest_era > known.number:
            raise OvertakenError
        if not _state(known).is_certain:
            raise DamagedObjectError(
                "gc/: a line of gc was lost, and no repair can tell what it said, so nothing may "
                "be removed"
            )

    # --- G2, G3 ----------------------------------------------------------------------

    def find_roots(self) -> FoundRoots:
        """G2, and G7: ``ROOTS()``. Everything below what is new is kept from now on."""
        found = self._roots.find(self._options.ended)
        for volume_id, roots in found.roots.items():
            new = roots - self._kept[volume_id]
            if new:
                self._live.keep(volume_id, new)
                self._kept[volume_id] |= new
        self._volumes = found.volumes
        return found

    def mark(self, found: FoundRoots, gc: GcState) -> dict[str, PackMarks]:
        """G2, and G7: which records of which packs are in use, by each volume's own packs."""
        uses = [
            VolumeUse(volume_id, known.state, gc)
            for volume_id, known in sorted(found.volumes.items())
            if known.state is not None
            and (not known.state.is_deleted or found.held or found.roots.get(volume_id))
        ]
        if found.held:
            self._keep_held(uses, found.held)
        return Marker(self._parts.bucket, self._parts.finder, self._live).mark_all(uses)

    def _keep_held(self, uses: Iterable[VolumeUse], held: Collection[bytes]) -> None:
        """Keep the versions that processes of this machine read at this moment. What a hold stands
        on may be gone already, because other machines do not see it."""
        marker = Marker(self._parts.bucket, self._parts.finder, self._live)
        for use in uses:
            for oid in marker.list_held(use, held):
                with suppress(DataError):
                    self._live.keep(use.volume_id, [Reference(Kind.MANIFEST, oid)])

    def survey(self, found: FoundRoots, gc: GcState, marks: dict[str, PackMarks]) -> Survey:
        """G3: list the packs; which are dead, which are sparse, which belong to nobody."""
        surveyor = Surveyor(self._parts.bucket, self._parts.finder.packs.numbers, self._clock)
        return surveyor.survey(found, gc, marks, self._options)

    # --- G4, G5, G6 ------------------------------------------------------------------

    def copy_live(self, plan: CollectionPlan, marks: dict[str, PackMarks]) -> LiveCopies:
        """G4: copy what sparse packs have in use into new packs, which are put."""
        sparse = [self._get_pack(use.pack) for use in plan.rewrite]
        copier = LiveCopier(self._parts.finder, self._parts.spools, self._report)
        return copier.copy([(pack, marks[pack.name]) for pack in sparse])

    def condemn(self, known: KnownGc, survey: Survey, copies: LiveCopies) -> KnownGc:
        """G5: the line that condemns dead, sparse and strange packs. It takes the number after the
        one that was read before the roots were, or nothing is condemned."""
        packs = survey.list_condemned()
        if not packs:
            return known
        # What was doomed before is deleted by now.
        swept = max(_state(known).dooms.values(), default=0)
        line = PacksCondemned(tuple(sorted(packs)), copies.packs, copies.forwards, swept)
        known = self._append(known, line)
        reached("gc.condemned")
        report_bytes(self._report, 0, 0)
        return known

    def fence(self, gc: GcState, found: FoundRoots) -> bool:
        """G6: close in every log what is condemned. False if a fork is on its way, and nothing may
        be doomed before the next run."""
        is_fenced = not gc.condemned or self._fences.fence_all(gc, found.lapsed)
        report_bytes(self._report, 0, 0)
        return is_fenced

    # --- G7, G8, G9 ------------------------------------------------------------------

    def list_due(self, gc: GcState) -> frozenset[str]:
        """The condemned packs whose grace is over, by the store's clock."""
        grace = self._options.grace_ns
        ages = {
            era: grace if grace <= 0 else self._clock.find_line_age_ns(self._follower.log, era)
            for era in set(gc.condemned.values())
        }
        return frozenset(name for name, era in gc.condemned.items() if ages[era] >= grace)

    def judge(self, known: KnownGc, due: frozenset[str]) -> KnownGc:
        """G7 and G8: look again at what is needed, then doom what is not, and return what is.

        The line takes the number after the newest era that was fenced. If another line has it,
        nothing of what was seen may be believed, and the run begins anew.
        """
        used = self.look_again(_state(known), due)
        line = PacksDoomed(tuple(sorted(due - used)), tuple(sorted(due & used)))
        known = self._append(known, line)
        reached("gc.doomed")
        report_bytes(self._report, 0, 0)
        return known

    def look_again(self, gc: GcState, due: frozenset[str]) -> frozenset[str]:
        """G7: those of the packs that are in use after all. Every log was fenced before."""
        found = self.find_roots()
        marks = self.mark(found, gc)
        return frozenset(name for name in due if name in marks and marks[name].live)

    def delete(self, gc: GcState, names: Collection[str]) -> None:
        """G9: delete what the log of gc has doomed."""
        doomed = [name for name in names if name in gc.dooms]
        self._sweeper.delete_doomed(doomed, self._report)

    def tidy(self) -> None:
        """G9: delete what no log needs any more."""
        delete_old_lines(self._parts.leases.sessions, self._clock.read_ns())

    # --- inside ----------------------------------------------------------------------

    def _append(self, known: KnownGc, change: GcChange) -> KnownGc:
        """Append a line to the log of gc at the next number, or not at all.

        ConflictError if an undelete has that number: whoever wants packs back gets them.
        """
        won = self._follower.propose(known, [change], era=known.number + 1)
        if won is None:
            self._refuse_after_undelete(known.number + 1)
            raise OvertakenError
        return won.known

    def _refuse_after_undelete(self, number: int) -> None:
        line = self._follower.log.find_line(number)
        changes = GC_CHANGES.decode(line.body) if line is not None else ()
        if any(isinstance(change, PacksReturned) for change in changes):
            raise ConflictError(
                "packs were brought back while gc was running, so it has ended; run it again if "
                "they are to go after all"
            )

    def _get_pack(self, number: int) -> NamedPack:
        return self._parts.finder.packs.numbers.get_pack(number)


def _state(known: KnownGc) -> GcState:
    assert known.state is not None
    return known.state
