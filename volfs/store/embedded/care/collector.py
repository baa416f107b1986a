"""Garbage collection. Steps, and what a crash leaves between them: docs/format.md."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from volfs.errors import DataError, OutOfSpaceError
from volfs.errors.fault_points import reached
from volfs.model.collection import CollectionPlan, PackUse, limit_plan, plan_collection
from volfs.model.objects import Oid
from volfs.model.progress import Report, report_bytes
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.contract.care import GcOptions, GcReport, Live
from volfs.store.elapsed import begin_wait
from volfs.store.embedded.care.caretaker import LockedPack, alone, lock_pack
from volfs.store.embedded.care.purge import find_due, find_size, purge, tidy_names
from volfs.store.embedded.data.pack_writer import PACK_TARGET
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.embedded.refs.roots import Roots, RootsByVolume
from volfs.store.packs.copier import Copier, Moved
from volfs.store.packs.rows import IndexRow
from volfs.store.packs.scan import is_former_pack
from volfs.store.packs.survey import survey_packs

OBJECTS_AT_ONCE = 1 << 20
"""How many index entries of packs to sweep are in memory at one time."""
DEAD_AT_ONCE = 1 << 16
"""How many index entries one transaction removes. Commits of others wait for it."""
FRUGAL = 64
"""How many index entries one transaction changes on a full disk: each takes LMDB a page or two."""


def collect(
    packs: Packs, refs: RefRows, roots: Roots, live: Live, options: GcOptions, report: Report
) -> GcReport:
    """Collect garbage. Raises the errors of ``live.keep``; ConflictError."""
    with alone(packs.directory):
        # Packs that this process keeps for its next upload are not in use.
        packs.pool.release()
        collector = Collector(packs, roots, live, options, report)
        plan = collector.plan()
        if not options.dry_run:
            try:
                collector.sweep((*plan.drop, *plan.rewrite))
            except OutOfSpaceError:
                collector.sweep_frugally((*plan.drop, *plan.rewrite))
            purge(packs, options, report)
            tidy_names(packs, refs)
        return collector.make_report(plan)


class Victim(NamedTuple):
    """A locked pack, and what becomes of the objects in it."""

    use: PackUse
    lock: LockedPack
    moved: list[Moved]
    dead: list[IndexRow]


class Collector:
    def __init__(
        self, packs: Packs, roots: Roots, live: Live, options: GcOptions, report: Report
    ) -> None:
        self._report = report
        self._packs = packs
        self._index = packs.index
        self._environment = packs.environment
        self._all_roots = roots
        self._live = live
        self._options = options
        self._kept: RootsByVolume = defaultdict(set)
        self._saves = 0
        self._copied = 0
        self._survey: list[PackUse] = []
        self._due = (0, 0)
        self._total = 0
        self.swept: list[PackUse] = []
        self.starved: list[PackUse] = []
        """Packs whose live objects could not be copied, because there was no room."""

    # --- mark and plan ---------------------------------------------------

    def plan(self) -> CollectionPlan:
        """Mark what is live, and decide. Changes nothing."""
        with self._environment.read() as txn:
            self._saves = self._index.count_saves(txn)
        self._keep_new_roots()
        self._survey = self._survey_packs()
        wanted = plan_collection(self._survey)
        busy = {use.pack for use in (*wanted.drop, *wanted.rewrite) if self._is_busy(use)}
        plan = self._plan(use._replace(is_busy=use.pack in busy) for use in self._survey)
        if self._options.dry_run:
            self.swept = [*plan.drop, *plan.rewrite]
        due = find_due(self._packs, self._options)
        self._due = (len(due), sum(self._find_size(item.pack) for item in due))
        return plan

    def _plan(self, uses: Iterable[PackUse]) -> CollectionPlan:
        return limit_plan(plan_collection(uses), sys.maxsize, self._options.max_rewrite)

    def _keep_new_roots(self, txn: Transaction | None = None) -> None:
        """Mark what can be reached by now. Within ``txn`` nothing can be added to that."""
        if txn is None:
            with self._environment.read() as reading:
                roots = self._all_roots.find_in(reading, self._options.ended)
        else:
            roots = self._all_roots.find_in(txn, self._options.ended)
        for volume_id, found in roots.items():
            new = found - self._kept[volume_id]
            if new:
                self._live.keep(volume_id, new)
                self._kept[volume_id] |= new

    def _survey_packs(self) -> list[PackUse]:
        return survey_packs(self._index, self._live, self._find_size, self._is_former)

    def _find_size(self, pack: int) -> int:
        return find_size(self._packs, pack)

    def _is_former(self, pack: int) -> bool:
        return self._options.renew and is_former_pack(self._packs.source, pack)

    def _is_busy(self, use: PackUse) -> bool:
        locked = lock_pack(self._packs, use.pack, use.durable)
        if locked is not None:
            locked.close()
        return locked is None

    # --- sweep -----------------------------------------------------------

    def sweep(self, uses: Iterable[PackUse]) -> None:
        uses = list(uses)
        self._total = sum(use.live_bytes for use in uses)
        report_bytes(self._report, 0, self._total)
        for group in _group(uses):
            rows = self._index.read_rows({use.pack for use in group})
            self._sweep_group(group, rows)

    def sweep_frugally(self, uses: Iterable[PackUse]) -> None:
        """Sweep the rest of these packs on a full disk, one at a time.

        The packs with the least to copy come first, and if there is no grace, each makes room for
        the next. OutOfSpaceError if that frees nothing at all.
        """
        swept = {use.pack for use in self.swept}
        left = [use for use in uses if use.pack not in swept]
        purge(self._packs, self._options, self._report)
        self._environment.spend_ballast()  # A little is copied into this room, and much comes back.
        for group in _group(sorted(left, key=lambda use: use.live_bytes)):
            rows = self._index.read_rows({use.pack for use in group})
            for use in group:
                try:
                    self._sweep_group([use], rows)
                except OutOfSpaceError as error:
                    self.starved.append(use)
                    reason = error
                else:
                    purge(self._packs, self._options, self._report)
        if self.starved and not self.swept:
            raise reason

    def _sweep_group(self, group: list[PackUse], rows: dict[int, list[IndexRow]]) -> None:
        with self._packs.open_copier() as copier:
            victims: list[Victim] = []
            try:
                for number, use in enumerate(group, 1):
                    locked = lock_pack(self._packs, use.pack, use.durable)
                    if locked is not None:
                        victims.append(Victim(use, locked, [], []))
                        self._copy(copier, victims[-1], rows[use.pack])
                        report_bytes(self._report, self._copied + copier.copied, self._total)
                    dead = sum(len(victim.dead) for victim in victims)
                    full = copier.copied >= PACK_TARGET or dead >= DEAD_AT_ONCE
                    if victims and (full or number == len(group)):
                        self._put_aside(copier, victims)
                        report_bytes(self._report, self._copied, self._total)
            finally:
                for victim in victims:
                    victim.lock.close()

    def _copy(self, copier: Copier, victim: Victim, rows: list[IndexRow]) -> None:
        for oid, row in rows:
            if oid in self._live:
                victim.moved.append(_copy(copier, oid, row))
            else:
                victim.dead.append((oid, row))

    def _put_aside(self, copier: Copier, victims: list[Victim]) -> None:
        """Do step 4 of docs/format.md, and release the victims."""
        reached("gc.copied")
        copier.sync()
        reached("gc.durable")
        self._keep_new_roots()
        swept = self._move(copier, victims)
        reached("gc.moved")
        self._copied += copier.copied
        copier.settle()
        self.swept += [victim.use for victim in swept]
        for victim in victims:
            victim.lock.close()
        victims.clear()

    def _move(self, copier: Copier, victims: list[Victim]) -> list[Victim]:
        """Move the victims into quarantine, and return those that are there now. This is one
        transaction, or many on a full disk."""

        def move(txn: Transaction) -> list[Victim]:
            self._keep_new_roots(txn)
            # An object that was brought back has an entry that we have not read.
            swept = [] if self._was_saved(txn) else list(filter(self._is_dead, victims))
            for victim in swept:
                self._put_pack_aside(txn, victim)
            copier.extend(txn)
            reached("gc.unmoved")
            return swept

        try:
            return self._environment.free(move)
        except OutOfSpaceError:
            self._move_rows(copier, victims)
        return self._environment.free(move)

    def _move_rows(self, copier: Copier, victims: list[Victim]) -> None:
        """Do in small parts what can be done before the packs are put aside.

        Each part is proven as the whole is. The order is by key, so that LMDB's pages are changed
        one after the other, and a part uses the pages that the one before has freed.
        """
        rows: dict[Oid, Moved | IndexRow] = {}
        for victim in victims:
            rows.update((item.oid, item) for item in victim.moved)
            rows.update((row[0], row) for row in victim.dead)
        ordered = [rows[oid] for oid in sorted(rows)]
        size = FRUGAL
        while ordered:
            try:
                part = ordered[:size]
                self._environment.free(partial(self._move_part, copier, part))
                del ordered[:size]
            except OutOfSpaceError:
                if size == 1:
                    raise
                size //= 8

    def _move_part(self, copier: Copier, rows: list[Moved | IndexRow], txn: Transaction) -> None:
        self._keep_new_roots(txn)
        if self._was_saved(txn):
            return
        copier.extend(txn)
        for item in rows:
            if isinstance(item, Moved):
                self._index.replace_entry(txn, *item)
            elif item[0] not in self._live:
                self._part_with(txn, *item)

    def _part_with(self, txn: Transaction, oid: Oid, row: bytes) -> None:
        """Take a dead object away before its pack. A condemned object can be brought back, because
        its pack is there. But condemned rows take room, and without a grace they have no use."""
        if self._options.grace_ns > 0:
            self._index.quarantine.condemn(txn, oid, row)
        else:
            self._index.replace_entry(txn, oid, row, None)

    def _was_saved(self, txn: Transaction) -> bool:
        return self._index.count_saves(txn) != self._saves

    def _is_dead(self, victim: Victim) -> bool:
        """Whether the objects that nobody used are still unused."""
        return not any(oid in self._live for oid, _ in victim.dead)

    def _put_pack_aside(self, txn: Transaction, victim: Victim) -> None:
        index = self._index
        for oid, row, entry in victim.moved:
            index.replace_entry(txn, oid, row, entry)
        for oid, row in victim.dead:
            index.quarantine.condemn(txn, oid, row)
        wait = begin_wait(self._options.moment)
        index.quarantine.put_aside(txn, victim.use.pack, self._options.now_ns, wait=wait)

    # --- report ----------------------------------------------------------

    def make_report(self, plan: CollectionPlan) -> GcReport:
        """What was done, or what would be done if this were no dry run."""
        rewritten = [use for use in self.swept if use.live_objects]
        size = sum(use.size for use in self.swept)
        at_once = self._options.grace_ns <= 0
        deleted, deleted_bytes = self._due
        if at_once:
            deleted, deleted_bytes = deleted + len(self.swept), deleted_bytes + size
        with self._environment.read() as txn:
            left = self._index.quarantine.list_packs(txn)
        waiting = sum(self._find_size(item.pack) for item in left)
        count = len(left)
        if self._options.dry_run:
            count += len(self.swept) - deleted
            waiting += size - deleted_bytes
        return GcReport(
            live_objects=sum(use.live_objects for use in self._survey),
            live_bytes=sum(use.live_bytes for use in self._survey),
            dropped_packs=len(self.swept) - len(rewritten),
            rewritten_packs=len(rewritten),
            rewritten_bytes=sum(use.live_bytes for use in rewritten),
            quarantined_bytes=size,
            busy_packs=len(plan.busy),
            deleted_packs=deleted,
            deleted_bytes=deleted_bytes,
            waiting_packs=count,
            waiting_bytes=waiting,
            starved_packs=len(self.starved),
        )


def _copy(copier: Copier, oid: Oid, row: bytes) -> Moved:
    try:
        return copier.copy(oid, row)
    except DataError as error:
        raise type(error)(f"{error}; it was left as it is: see `volfs check --repair`") from error


def _group(uses: Iterable[PackUse]) -> Iterator[list[PackUse]]:
    """Packs whose index entries fit into memory together."""
    group: list[PackUse] = []
    objects = 0
    for use in uses:
        objects += use.live_objects + use.dead_objects
        if group and objects > OBJECTS_AT_ONCE:
            yield group
            group, objects = [], use.live_objects + use.dead_objects
        group.append(use)
    if group:
        yield group
