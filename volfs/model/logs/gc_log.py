"""The log of gc: which packs are condemned, which are doomed, and which came back.

Line K is era K. Line 0 is made with the store. Layout: docs/format.md, "The log of gc".

A *condemned* pack is closed in all volumes, one after the other. Later it is *returned*, because
something needs it after all, or *doomed*: then nothing ever needs it, and it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated, NamedTuple

import msgspec
from immutables import Map
from msgspec import Meta

from volfs.errors import ConflictError, DamagedObjectError
from volfs.model.logs.change_codec import ChangeCodec, LogChange, decode_content
from volfs.model.logs.maps import without
from volfs.model.logs.volume_changes import Forward, LoggedPack, PackName
from volfs.model.logs.volume_facts import Natural, OidField
from volfs.model.objects import Buffer

GC_MAGIC = b"VOLFSGC1"
Copies = tuple[tuple[LoggedPack, ...], tuple[Forward, ...]]
"""Packs that gc has written, and which packs lead to them."""


class PacksCondemned(LogChange, tag="condemned", frozen=True):
    """No line of this era or a later one may rely on these packs."""

    packs: Annotated[tuple[PackName, ...], Meta(min_length=1)]
    copies: tuple[LoggedPack, ...] = ()
    """Packs that gc has written, to which ``forwards`` lead."""
    forwards: tuple[Forward, ...] = ()
    swept: Natural = 0
    """What was doomed in lines up to this one is deleted."""


class PacksDoomed(LogChange, tag="doomed", frozen=True):
    """``packs`` will be deleted. ``returned`` are in use, and may be opened again."""

    packs: tuple[PackName, ...]
    returned: tuple[PackName, ...] = ()


class PacksReturned(LogChange, tag="returned", frozen=True):
    """Somebody wants condemned packs back."""

    packs: Annotated[tuple[PackName, ...], Meta(min_length=1)]


GcChange = PacksCondemned | PacksDoomed | PacksReturned
GC_CHANGES: ChangeCodec[GcChange] = ChangeCodec("line of gc", GcChange)


class GcState(NamedTuple):
    """The log of gc after a line. Its number is the newest era."""

    number: int
    condemned: Map[str, int] = Map()
    """The era of each pack that is condemned, and neither returned nor doomed."""
    dooms: Map[str, int] = Map()
    """The line of each pack that is doomed, and may not be deleted yet."""
    returned: Map[str, int] = Map()
    """The line that returned a pack, if the pack was not condemned again."""
    copies: Map[int, Copies] = Map()
    """What the line of an era says of copies, as long as one of its packs is condemned."""
    is_certain: bool = True
    """False if a line was lost, and a repair has left out what it said. Then nothing may be
    removed any more: a pack may be open that seems to be closed."""

    def list_closing(self, after: int) -> frozenset[str]:
        """The packs that a fence of the newest era closes in a log whose era is ``after``."""
        return frozenset(name for name, era in self.condemned.items() if era > after)

    def list_copies(self, after: int) -> list[Copies]:
        """What that fence says of copies."""
        return [copies for era, copies in sorted(self.copies.items()) if era > after]


def list_condemned(lines: Iterable[Sequence[GcChange]]) -> frozenset[str]:
    """The packs that any of these lines condemns, whatever came of them.

    A writer asks this of all lines after the era that it knew, because a state may have forgotten
    a pack that was condemned and deleted in between.
    """
    changes = (change for line in lines for change in line)
    packs = (change.packs for change in changes if isinstance(change, PacksCondemned))
    return frozenset(chain.from_iterable(packs))


def apply(state: GcState | None, number: int, era: int, changes: Sequence[GcChange]) -> GcState:
    """The state after one more line. ConflictError if it cannot follow.

    Line 0 has no change, and every other line has one.
    """
    before = -1 if state is None else state.number
    if number != before + 1 or era != number or len(changes) != min(number, 1):
        raise ConflictError(f"line {number} of era {era} cannot follow line {before} of gc")
    if state is None:
        return GcState(0)
    state = state._replace(number=number)
    (change,) = changes
    match change:
        case PacksCondemned():
            return _condemn(state, change)
        case PacksDoomed(packs, returned):
            return _doom(_take_back(state, returned), packs)
        case PacksReturned(packs):
            return _take_back(state, packs)


def _condemn(state: GcState, change: PacksCondemned) -> GcState:
    taken = [name for name in change.packs if name in state.condemned or name in state.dooms]
    if taken or len(set(change.packs)) < len(change.packs):
        raise ConflictError(f"packs are condemned already: {', '.join(taken)}")
    if change.swept >= state.number:
        raise ConflictError(f"line {state.number} of gc tells of a later one")
    swept = [name for name, line in state.dooms.items() if line <= change.swept]
    copies = state.copies
    if change.copies or change.forwards:
        copies = copies.set(state.number, (change.copies, change.forwards))
    return state._replace(
        condemned=state.condemned.update(dict.fromkeys(change.packs, state.number)),
        dooms=without(state.dooms, swept),
        returned=without(state.returned, change.packs),
        copies=copies,
    )


def _take_back(state: GcState, names: Sequence[str]) -> GcState:
    state = _release(state, names)
    return state._replace(returned=state.returned.update(dict.fromkeys(names, state.number)))


def _doom(state: GcState, names: Sequence[str]) -> GcState:
    state = _release(state, names)
    return state._replace(dooms=state.dooms.update(dict.fromkeys(names, state.number)))


def _release(state: GcState, names: Sequence[str]) -> GcState:
    """The state in which these packs are no longer condemned."""
    if len(set(names)) < len(names):
        raise ConflictError("a pack is named twice")
    for name in names:
        if name not in state.condemned:
            raise ConflictError(f"pack {name} is not condemned")
    condemned = without(state.condemned, names)
    eras = set(condemned.values()) if state.copies else set()
    copies = without(state.copies, [era for era in state.copies if era not in eras])
    return state._replace(condemned=condemned, copies=copies)


# --- checkpoints ------------------------------------------------------------


class GcCheckpoint(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The log of gc after line ``number``. Lists are sorted."""

    number: Natural
    digest: OidField
    condemned: tuple[tuple[PackName, Natural], ...]
    dooms: tuple[tuple[PackName, Natural], ...]
    returned: tuple[tuple[PackName, Natural], ...]
    copies: tuple[tuple[Natural, Copies], ...]
    is_certain: bool = True


_decoder = msgspec.msgpack.Decoder(GcCheckpoint)


def encode_gc(state: GcState, digest: bytes) -> bytes:
    """The content of a checkpoint. Equal states give equal bytes."""
    checkpoint = GcCheckpoint(
        state.number,
        digest,
        condemned=tuple(sorted(state.condemned.items())),
        dooms=tuple(sorted(state.dooms.items())),
        returned=tuple(sorted(state.returned.items())),
        copies=tuple(sorted(state.copies.items(), key=lambda item: item[0])),
        is_certain=state.is_certain,
    )
    return msgspec.msgpack.encode(checkpoint)


def decode_gc(data: Buffer) -> tuple[GcState, bytes]:
    """A state, and the digest of its line. DamagedObjectError."""
    found = decode_content("checkpoint of gc", _decoder, data)
    condemned, dooms, returned = map(Map, (found.condemned, found.dooms, found.returned))
    copies = Map(found.copies)
    state = GcState(found.number, condemned, dooms, returned, copies, found.is_certain)
    names = [*condemned, *dooms, *returned]
    if len(set(names)) < len(names):
        raise DamagedObjectError("checkpoint of gc: a pack has two fates")
    return state, found.digest
