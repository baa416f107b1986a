"""Undelete: packs that gc has condemned, and not doomed, are brought back.

The log of gc says so first. If it were the other way round, a gc could doom a pack after volumes
had opened it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from volfs.errors.fault_points import reached
from volfs.model.logs.gc_log import GcState, PacksReturned
from volfs.model.logs.pack_table import PackInUse
from volfs.model.oid_set import OidSet
from volfs.store.contract.care import Undeleted
from volfs.store.distributed.care.gc_parts import GcParts
from volfs.store.distributed.care.gc_roots import KnownVolume
from volfs.store.distributed.checkpoints.plain_logs import GcFollower
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.refs.volume_view import to_named


def undelete(parts: GcParts) -> Undeleted:
    """Return all condemned packs, and open them in every volume that has closed them. May be
    repeated. DataError; StoreError."""
    follower = parts.follow()
    state, back = return_all(follower)
    if state is None:
        return Undeleted()
    reached("undelete.returned")
    volumes = parts.find_roots().read_logs()
    objects = _count_objects(parts.finder, volumes.values(), back)
    parts.sweep(follower.log).adopt_all(state, volumes)
    return Undeleted(len(back), objects)


def return_all(follower: GcFollower) -> tuple[GcState | None, frozenset[str]]:
    """Append ``returned`` with everything that is condemned and not doomed, and return the newest
    state of gc, and the packs. It wins or loses against a verdict of gc by its number."""
    known = follower.refresh()
    while known.state is not None and known.state.condemned:
        back = tuple(sorted(known.state.condemned))
        won = follower.propose(known, [PacksReturned(back)], era=known.number + 1)
        if won is not None:
            return won.known.state, frozenset(back)
        known = follower.known
    return known.state, frozenset()


def _count_objects(
    finder: PlaceFinder, volumes: Iterable[KnownVolume], back: Collection[str]
) -> int:
    """How many objects are in these packs, and in no open pack of a volume that has them."""
    found = OidSet()
    for known in volumes:
        rows = list(known.state.packs.packs.values()) if known.state is not None else []
        closed = [row for row in rows if row.pack.name in back and not row.is_open]
        if closed:
            there = _list_objects(finder, (row for row in rows if row.is_open))
            for row in closed:
                footer = finder.load_footer(to_named(row.pack))
                for number in range(len(footer)):
                    if footer.get_id(number) not in there:
                        found.add(footer.get_id(number))
    return len(found)


def _list_objects(finder: PlaceFinder, rows: Iterable[PackInUse]) -> OidSet:
    found = OidSet()
    for row in rows:
        footer = finder.load_footer(to_named(row.pack))
        for number in range(len(footer)):
            found.add(footer.get_id(number))
    return found
