"""What gc decides on: which packs are dead, which are sparse, and which belong to nobody.

A line that carries records is a pack here, too. To remove it is to take its records away: the line
itself stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.objects import ObjectInfo
from volfs.model.collection import CollectionPlan, PackUse, limit_plan, plan_collection
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.pack_table import PackInUse
from volfs.model.logs.volume_log import VolumeState
from volfs.model.pack import PACK_HEADER_SIZE
from volfs.model.segments.packs_named import NamedPack, name_line
from volfs.store.contract.care import GcOptions
from volfs.store.distributed.care.gc_clock import StoreClock
from volfs.store.distributed.care.gc_roots import FoundRoots
from volfs.store.distributed.care.pack_marks import PackMarks, count_record_bytes
from volfs.store.distributed.data.pack_numbers import PackNumbers
from volfs.store.distributed.place.object_keys import PACKS, find_pack_name, volume_log
from volfs.store.distributed.refs.condemned_packs import is_usable
from volfs.store.distributed.refs.volume_view import to_named

LINES_MOST = 8 << 20
"""The most bytes of records in the lines of one volume. With more, all go into packs."""
CONDEMNED_MOST = 50_000
"""The most packs that one line of gc condemns. The rest waits for the next run."""


class Survey(NamedTuple):
    """What is in a store, and what is to be done about it."""

    plan: CollectionPlan
    """By the numbers of ``PackNumbers``."""
    orphans: tuple[str, ...]
    """Packs that no log names, and that are old enough."""
    young: int
    """Orphans that may belong to an upload that is under way."""
    live_objects: int
    live_bytes: int
    sizes: dict[str, int]
    """The bytes that would come free with each pack, by name."""
    left: frozenset[str]
    """Doomed packs that a gc which died has not deleted."""
    victims: tuple[str, ...]
    """The names of the packs in the plan."""

    def list_condemned(self) -> list[str]:
        """The packs that are to be condemned, by name."""
        return [*self.victims, *self.orphans]


def list_packs(bucket: Bucket) -> dict[str, ObjectInfo]:
    """The packs that are there, by name."""
    infos = ((find_pack_name(info.key), info) for info in iter_objects(bucket, PACKS))
    return {name: info for name, info in infos if name is not None}


class Surveyor:
    """Finds out what may be removed. It changes nothing."""

    def __init__(self, bucket: Bucket, numbers: PackNumbers, clock: StoreClock) -> None:
        self._bucket = bucket
        self._numbers = numbers
        self._clock = clock

    def survey(
        self, found: FoundRoots, gc: GcState, marks: dict[str, PackMarks], options: GcOptions
    ) -> Survey:
        """Decide by these marks. An orphan is left alone for the time of grace."""
        stored = list_packs(self._bucket)
        named = _list_named(found, gc)
        strange = [info for name, info in stored.items() if name not in named]
        orphans = [info for info in strange if not _is_decided(_name(info), gc)]
        old = [info for info in orphans if self._is_old(info, options.grace_ns)]
        lines = list(self._iter_lines(found, gc))
        left = [pack for pack in lines if pack.name in gc.dooms]
        candidates = [
            pack
            for pack in (*self._iter_named_packs(found, stored), *lines)
            if not _is_decided(pack.name, gc)
        ]
        plan = limit_plan(
            plan_collection(self._weigh(candidates, marks)), CONDEMNED_MOST, options.max_rewrite
        )
        return Survey(
            plan,
            tuple(_name(info) for info in old[:CONDEMNED_MOST]),
            len(orphans) - len(old),
            sum(len(each.live) for each in marks.values()),
            sum(each.live_bytes for each in marks.values()),
            {name: info.size for name, info in stored.items()}
            | {pack.name: count_record_bytes(pack) for pack in lines},
            frozenset((*(pack.name for pack in left), *(gc.dooms.keys() & stored.keys()))),
            tuple(self._numbers.get_pack(use.pack).name for use in (*plan.drop, *plan.rewrite)),
        )

    def _is_old(self, info: ObjectInfo, patience_ns: int) -> bool:
        return patience_ns <= 0 or self._clock.find_age_ns(info.mtime_ns) >= patience_ns

    def _iter_named_packs(
        self, found: FoundRoots, stored: dict[str, ObjectInfo]
    ) -> Iterator[NamedPack]:
        """The packs of all volumes that are there, each once."""
        seen: set[str] = set()
        for state in _iter_states(found):
            for row in state.packs.packs.values():
                if row.pack.name in stored and row.pack.name not in seen:
                    seen.add(row.pack.name)
                    yield to_named(row.pack)

    def _iter_lines(self, found: FoundRoots, gc: GcState) -> Iterator[NamedPack]:
        """The lines that still carry records, each once."""
        for volume_id, known in found.volumes.items():
            state = known.state
            assert state is not None
            rows = [row for row in state.packs.packs.values() if _is_own(row.pack.name, volume_id)]
            if not state.is_deleted:
                yield from (to_named(row.pack) for row in rows if is_usable(row, gc))
                rows = [row for row in rows if row.pack.name in gc.dooms]
            if rows:
                yield from self._iter_whole(volume_id, rows)

    def _iter_whole(self, volume_id: str, rows: Iterable[PackInUse]) -> Iterator[NamedPack]:
        """Those of the lines of a volume that have not become slim."""
        sizes = self._list_lines(volume_id)
        packs = (to_named(row.pack) for row in rows)
        return (pack for pack in packs if sizes.get(pack.name) == pack.length)

    def _list_lines(self, volume_id: str) -> dict[str, int]:
        """The lengths of the lines of a volume, by their names as packs."""
        place = volume_log(volume_id)
        sizes: dict[str, int] = {}
        for info in iter_objects(self._bucket, place.lines):
            number = place.find_number(info.key)
            if number is not None:
                sizes[name_line(volume_id, number)] = info.size
        return sizes

    def _weigh(self, packs: Iterable[NamedPack], marks: dict[str, PackMarks]) -> Iterator[PackUse]:
        packs = list(packs)
        heavy = _list_heavy(packs, marks)
        for pack in packs:
            found = marks.get(pack.name)
            if found is not None and found.is_pinned:
                continue
            size = PACK_HEADER_SIZE + count_record_bytes(pack)
            yield PackUse(
                self._numbers.get_number(pack),
                size,
                size,
                len(found.live) if found else 0,
                found.live_bytes if found else 0,
                found.dead_objects if found else pack.records,
                is_former=pack.name in heavy,
            )


def _list_heavy(packs: Iterable[NamedPack], marks: dict[str, PackMarks]) -> set[str]:
    """The lines of volumes whose lines carry too much."""
    lines: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for pack in packs:
        if pack.is_line and pack.name in marks:
            volume_id = pack.name.partition("/")[0]
            lines.setdefault(volume_id, []).append(pack.name)
            sizes[volume_id] = sizes.get(volume_id, 0) + marks[pack.name].live_bytes
    heavy = (names for volume_id, names in lines.items() if sizes[volume_id] > LINES_MOST)
    return {name for names in heavy for name in names}


def _list_named(found: FoundRoots, gc: GcState) -> set[str]:
    """The packs that any log names: those of volumes, and the copies of gc."""
    named = {name for state in _iter_states(found) for name in state.packs.packs}
    for packs, _ in gc.copies.values():
        named.update(pack.name for pack in packs)
    return named


def _is_decided(name: str, gc: GcState) -> bool:
    """Whether gc has condemned or doomed a pack already."""
    return name in gc.condemned or name in gc.dooms


def _is_own(name: str, volume_id: str) -> bool:
    return name.startswith(f"{volume_id}/")


def _name(info: ObjectInfo) -> str:
    return find_pack_name(info.key) or ""


def _iter_states(found: FoundRoots) -> Iterator[VolumeState]:
    for known in found.volumes.values():
        assert known.state is not None
        yield known.state
