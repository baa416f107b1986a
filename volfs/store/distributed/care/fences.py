"""Fences (steps G5 and G6): what is condemned is closed in the log of every volume.

A line of an era below the fence comes before it, so the second look sees what it needs. A line
after the fence has read it, so it relies on nothing that is closed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.errors.fault_points import reached
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.pack_table import PackTable
from volfs.model.logs.volume_changes import Forward, LoggedPack, PacksFenced, VolumeDeleted
from volfs.model.logs.volume_log import PendingFork, VolumeState
from volfs.store.distributed.care.gc_clock import StoreClock
from volfs.store.distributed.care.gc_roots import KnownVolume, RootsFinder
from volfs.store.distributed.refs.condemned_packs import is_usable
from volfs.store.distributed.refs.volume_logs import VolumeFollower, VolumeLogs

FORK_PATIENCE_NS = 3600 * 10**9
"""How long gc waits for the log of a fork before it takes its place."""


class WaitingFork(NamedTuple):
    """A fork that has no log yet: the volume that says so, and its line."""

    volume_id: str
    source: str
    line: int


class Fences:
    """Fences all logs at one era. ``patience_ns`` is the age of a fork that is given up."""

    def __init__(
        self,
        roots: RootsFinder,
        logs: VolumeLogs,
        clock: StoreClock,
        patience_ns: int,
    ) -> None:
        self._roots = roots
        self._logs = logs
        self._clock = clock
        self._patience_ns = patience_ns

    def fence_all(self, gc: GcState, lapsed: dict[str, dict[str, int]]) -> bool:
        """Fence until no living log is below the newest era of gc.

        False if a fork is on its way whose log will begin below that era: then nothing may be
        doomed yet, and the next run goes on.
        """
        while True:
            volumes = self._roots.read_logs()
            low = self.list_low(volumes, gc.number)
            for volume_id in low:
                self.fence(volume_id, gc, lapsed.get(volume_id, {}), volumes.keys())
            waiting = self.list_waiting(volumes, gc.number)
            if not all(self.settle_fork(fork, gc.number) for fork in waiting):
                return False
            if not low and not waiting:
                return True

    def list_low(self, volumes: dict[str, KnownVolume], era: int) -> list[str]:
        """The living volumes whose logs have not reached an era."""
        return [
            volume_id
            for volume_id, known in volumes.items()
            if known.state is not None and not known.state.is_deleted and known.era < era
        ]

    def list_waiting(self, volumes: dict[str, KnownVolume], era: int) -> list[WaitingFork]:
        """The forks that have no log yet, and whose logs would begin below an era."""
        return [
            WaitingFork(fork, source, pending.line)
            for source, known in volumes.items()
            if known.state is not None
            for fork, pending in known.state.forks.items()
            if fork not in volumes and self._begins_below(source, pending, era)
        ]

    def fence(
        self,
        volume_id: str,
        gc: GcState,
        lapsed: dict[str, int],
        there: Collection[str] = (),
    ) -> None:
        """Append a fence to a log, unless somebody else did, or the volume was deleted."""
        follower: VolumeFollower = self._logs.open(volume_id)
        known = follower.known
        while known.state is not None and not known.state.is_deleted and known.era < gc.number:
            change = make_fence(known.state, gc, self.list_closing(gc, known.era), lapsed, there)
            won = follower.propose(known, [change], era=gc.number)
            known = follower.known if won is None else won.known
        reached("gc.fenced")

    def list_closing(self, gc: GcState, after: int) -> frozenset[str]:
        """Every pack that was condemned after an era, by whichever run, and not returned."""
        return gc.list_closing(after)

    def settle_fork(self, fork: WaitingFork, era: int) -> bool:
        """Take the place of a fork's log, if its forker is gone by all that is known. False if gc
        has to wait. Whoever loses the race for line 0 has a log, or none: both are fine."""
        if self._logs.open(fork.volume_id).refresh().state is not None:
            return True
        if self._patience_ns > 0:
            log = self._logs.open(fork.source).log
            if self._clock.find_line_age_ns(log, fork.line) < self._patience_ns:
                return False
        self._logs.begin(fork.volume_id, [VolumeDeleted()], b"", era)
        return True

    def _begins_below(self, source: str, pending: PendingFork, era: int) -> bool:
        """Whether the log of a fork will begin below an era: it begins at that of the line which
        announces it, with what is closed there."""
        line = self._logs.open(source).log.find_line(pending.line)
        if line is None:
            raise DamagedObjectError(f"{source}: line {pending.line} is gone")
        return line.era < era


def make_fence(
    state: VolumeState,
    gc: GcState,
    condemned: Collection[str],
    lapsed: dict[str, int],
    there: Collection[str],
) -> PacksFenced:
    """The fence that follows a state: it closes what is condemned, and names the copies.

    It also forgets what is over: packs that are deleted, forks whose logs are there, and what
    lines said of sessions without a lease.
    """
    copies, forwards = _choose_copies(state.packs, gc, state.era)
    new = {pack.name for pack in copies}
    closed = [name for name in condemned if name in new or state.packs.is_open(name)]
    shut = set(closed)
    return PacksFenced(
        tuple(sorted(closed)),
        tuple(copies),
        tuple(each for each in forwards if not shut.intersection(each[1])),
        gone=tuple(sorted(_iter_gone(state.packs, gc))),
        settled=tuple(sorted(fork for fork in state.forks if fork in there)),
        ended=tuple(sorted(_iter_ended(state, lapsed))),
    )


def _choose_copies(
    packs: PackTable, gc: GcState, after: int
) -> tuple[list[LoggedPack], list[Forward]]:
    """The copies, made after an era, that a volume needs because it has one of the packs that lead
    to them. A copy may have been copied itself since."""
    known, copies, forwards = set(packs.packs), [], []
    for new, leads in gc.list_copies(after):
        by_name = {pack.name: pack for pack in new}
        for source, targets in leads:
            if source not in known:
                continue
            copies += [by_name[name] for name in targets if name not in known]
            known.update(targets)
            if all(not packs.is_closed(name) for name in targets):
                forwards.append((source, targets))
    return copies, forwards


def _iter_gone(packs: PackTable, gc: GcState) -> list[str]:
    """The closed packs that are deleted: gc knows them neither as condemned, nor as returned, nor
    as doomed and not deleted yet."""
    rows = (row for row in packs.packs.values() if not is_usable(row, gc))
    return [row.pack.name for row in rows if row.pack.name not in gc.dooms]


def _iter_ended(state: VolumeState, lapsed: dict[str, int]) -> list[str]:
    """The sessions that had no lease, and of which no line has spoken since."""
    return [
        session
        for session, rows in state.riders.items()
        if rows and rows[-1].line <= lapsed.get(session, -1)
    ]
