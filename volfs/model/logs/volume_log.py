"""What the lines of a volume's log mean: the state after them, and which line may follow.

The state is a pure function of the lines. ``apply`` gives the next state or refuses; a writer asks
it before it sends a line, and a reader whose line is refused has found damage.

E1  Eras never fall along a log. Only ``fenced`` raises the era.
E2  A published version relies on open packs only. gc closes the packs that it condemns.

That no new pack of a line was condemned before (the other half of E2), and that a lease was in
force (E3), is not known from this log. Whoever publishes looks at the logs that tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from immutables import Map

from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    HeadMovedError,
    NotFoundError,
)
from volfs.model.logs.maps import without
from volfs.model.logs.pack_table import PackTable
from volfs.model.logs.version_table import VersionRow, VersionTable
from volfs.model.logs.volume_changes import (
    CarriedRecords,
    LoggedPack,
    LoggedSegment,
    PacksAdopted,
    PacksFenced,
    PacksMended,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    VolumeDeleted,
    VolumeForked,
    VolumeNamed,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.logs.whole_bytes import CHECKSUM_SIZE
from volfs.model.objects import Oid
from volfs.model.references import Reference
from volfs.model.segments.packs_named import name_line


class PendingFork(NamedTuple):
    """A fork of this volume whose own log may not be there yet."""

    version: int
    line: int


class Rider(NamedTuple):
    """What one publication adds to its session's lease, until that lease says so itself."""

    line: int
    version: int
    over: bytes
    needs: tuple[Reference, ...]


class VolumeState(NamedTuple):
    """A volume after a line of its log."""

    number: int
    """The number of that line."""
    era: int
    facts: VolumeFacts | None = None
    """None if the log began with the end: somebody took the place of a fork that never came."""
    versions: VersionTable = VersionTable()
    tags: Map[str, int] = Map()
    tagged: Map[int, int] = Map()
    """How many tags each tagged version has."""
    forks: Map[str, PendingFork] = Map()
    riders: Map[str, tuple[Rider, ...]] = Map()
    packs: PackTable = PackTable()
    segments: tuple[LoggedSegment, ...] = ()
    is_deleted: bool = False


def apply(
    state: VolumeState | None, number: int, era: int, changes: Sequence[VolumeChange]
) -> VolumeState:
    """The state after one more line. Without a state, the line is the first one.

    HeadMovedError; NotFoundError if the volume, or a version or a tag that must be there, is not;
    AlreadyExistsError for a tag that names another version; ConflictError for every other line
    that cannot follow. The state stays as it was.
    """
    if state is None:
        return _begin(number, era, changes)
    _check_next(state, number, era, changes)
    state = state._replace(number=number, era=era)
    for change in changes:
        state = _apply_change(state, change)
    return state


def _begin(number: int, era: int, changes: Sequence[VolumeChange]) -> VolumeState:
    if number != 0 or not changes:
        raise ConflictError(f"line {number}: a log begins with the creation in line 0")
    state = VolumeState(0, era)
    first, *others = changes
    if isinstance(first, VolumeDeleted) and not others:
        return state._replace(is_deleted=True)
    if not isinstance(first, VolumeCreated):
        raise ConflictError("line 0: a log begins with a creation, or has no other change")
    state = _create(state, first)
    for change in others:
        state = _apply_change(state, change)
    return state


def _check_next(state: VolumeState, number: int, era: int, changes: Sequence[VolumeChange]) -> None:
    """Refuse a line whose number or era cannot follow."""
    check_alive(state)
    if number != state.number + 1:
        raise ConflictError(f"line {number} cannot follow line {state.number}")
    if not changes:
        raise ConflictError(f"line {number} has no change")
    is_fence = any(isinstance(change, PacksFenced) for change in changes)
    if is_fence and len(changes) > 1:
        raise ConflictError(f"line {number} has a fence and another change")
    if era <= state.era if is_fence else era != state.era:
        raise ConflictError(f"line {number} of era {era} cannot follow era {state.era}")


def check_alive(state: VolumeState) -> None:
    """NotFoundError if the volume was deleted."""
    if state.is_deleted:
        volume = state.facts.id if state.facts else "volume"
        raise NotFoundError(f"{volume}: no such volume: it was deleted")


def check_version(state: VolumeState, version: int) -> None:
    """NotFoundError if a version is not there."""
    check_alive(state)
    if not state.versions.has(version):
        volume = state.facts.id if state.facts else ""
        raise NotFoundError(f"volume {volume}: version {version} is not there any more")


def _apply_change(state: VolumeState, change: VolumeChange) -> VolumeState:
    check_alive(state)
    match change:
        case VersionPublished():
            return _publish(state, change)
        case VersionsExpired():
            return _expire(state, change)
        case VersionTagged():
            return _untag(state, change) if change.version < 0 else _tag(state, change)
        case VolumeForked():
            return _fork(state, change)
        case PacksFenced() | PacksAdopted() | PacksMended():
            return _change_packs(state, change)
        case VolumeNamed():
            return _name(state, change)
        case VolumeDeleted():
            return _delete(state)
        case VolumeCreated():
            raise ConflictError(f"line {state.number} creates a volume that is there")


# --- the volume -------------------------------------------------------------


def _create(state: VolumeState, change: VolumeCreated) -> VolumeState:
    packs = PackTable().add(change.packs, 0).turn(change.closed, is_open=False)
    packs = packs.add(_list_carried(change.facts.id, 0, change.carried), 0)
    versions = VersionTable()
    for version, manifest in change.manifests:
        if version <= versions.head:
            raise ConflictError(f"line 0: version {version} after version {versions.head}")
        versions = versions.add(version, VersionRow(Oid(manifest), 0))
    return state._replace(
        facts=change.facts,
        versions=versions,
        packs=packs._replace(forwards=Map(change.forwards)),
        segments=change.segments,
    )


def _name(state: VolumeState, change: VolumeNamed) -> VolumeState:
    assert state.facts is not None
    facts = msgspec.structs.replace(state.facts, name=change.name, environment=change.environment)
    return state._replace(facts=facts)


def _delete(state: VolumeState) -> VolumeState:
    return state._replace(versions=VersionTable(), tags=Map(), tagged=Map(), is_deleted=True)


def _fork(state: VolumeState, change: VolumeForked) -> VolumeState:
    check_version(state, change.version)
    if change.volume in state.forks:
        raise AlreadyExistsError(f"volume {change.volume}: already forked")
    pending = PendingFork(change.version, state.number)
    return state._replace(forks=state.forks.set(change.volume, pending))


# --- versions and tags ------------------------------------------------------


def _publish(state: VolumeState, change: VersionPublished) -> VolumeState:
    head = state.versions.head
    if change.after != head:
        raise HeadMovedError(f"the head is version {head}, not {change.after}")
    if change.version <= head:
        raise ConflictError(f"version {change.version} cannot follow version {head}")
    for version in change.shares:
        check_version(state, version)
    state.packs.check_open(change.relies)
    row = VersionRow(Oid(change.manifest), state.number)
    volume = state.facts.id if state.facts else ""
    carried = _list_carried(volume, state.number, change.carried)
    return state._replace(
        versions=state.versions.add(change.version, row),
        packs=state.packs.add((*change.packs, *carried), state.number),
        segments=state.segments + change.segments,
        riders=_ride(state, change) if change.session else state.riders,
    )


def _list_carried(volume: str, number: int, carried: CarriedRecords) -> list[LoggedPack]:
    """The line as a pack, if it has records."""
    if not carried.count:
        return []
    length = carried.start + carried.length + CHECKSUM_SIZE
    return [LoggedPack(name_line(volume, number), length, carried.start, carried.count)]


def _ride(state: VolumeState, change: VersionPublished) -> Map[str, tuple[Rider, ...]]:
    """The riders with one more, and without those that the session's lease has taken in."""
    needs = tuple(Reference(kind, Oid(oid)) for kind, oid in change.needs)
    rider = Rider(state.number, change.version, change.over, needs)
    kept = [each for each in state.riders.get(change.session, ()) if each.line > change.upto]
    return state.riders.set(change.session, (*kept, rider))


def _expire(state: VolumeState, change: VersionsExpired) -> VolumeState:
    last = -1
    for first, end in change.versions:
        if not last < first <= end < state.versions.head:
            raise ConflictError(f"versions {first} to {end} cannot expire: the head stays")
        last = end
        for version in range(first, end + 1):
            check_version(state, version)
            if version in state.tagged:
                raise ConflictError(f"version {version} cannot expire: a tag names it")
    return state._replace(versions=state.versions.remove(change.versions))


def _tag(state: VolumeState, change: VersionTagged) -> VolumeState:
    check_version(state, change.version)
    known = state.tags.get(change.tag)
    if known not in (None, change.version) and not change.move:
        raise AlreadyExistsError(f"tag {change.tag}: it names version {known}")
    if known is not None:
        state = _untag(state, change)
    count = state.tagged.get(change.version, 0)
    return state._replace(
        tags=state.tags.set(change.tag, change.version),
        tagged=state.tagged.set(change.version, count + 1),
    )


def _untag(state: VolumeState, change: VersionTagged) -> VolumeState:
    known = state.tags.get(change.tag)
    if known is None:
        raise NotFoundError(f"no tag {change.tag}")
    count = state.tagged[known] - 1
    tagged = state.tagged.set(known, count) if count else state.tagged.delete(known)
    return state._replace(tags=state.tags.delete(change.tag), tagged=tagged)


# --- packs: gc, and repair --------------------------------------------------


def _change_packs(
    state: VolumeState, change: PacksFenced | PacksAdopted | PacksMended
) -> VolumeState:
    if isinstance(change, PacksFenced):
        return _fence(state, change)
    if isinstance(change, PacksMended):
        return _mend(state, change)
    return state._replace(packs=state.packs.turn(change.packs, is_open=True))


def _fence(state: VolumeState, change: PacksFenced) -> VolumeState:
    packs = state.packs.add(change.packs, state.number).turn(change.closed, is_open=False)
    packs = packs.forward(change.forwards).remove(change.gone)
    return state._replace(
        packs=packs,
        forks=without(state.forks, change.settled),
        riders=without(state.riders, change.ended),
    )


def _mend(state: VolumeState, change: PacksMended) -> VolumeState:
    known = {segment.name for segment in state.segments}
    if not known.issuperset(change.dropped):
        raise ConflictError(f"line {state.number} drops segments that the volume does not have")
    packs = state.packs.drop(change.without).add(change.packs, state.number)
    segments = tuple(each for each in state.segments if each.name not in change.dropped)
    return state._replace(packs=packs, segments=segments)
