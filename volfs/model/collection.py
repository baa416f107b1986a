"""Which packs gc drops, rewrites and leaves, from what each holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from volfs.model.pack import PACK_HEADER_SIZE


class PackUse(NamedTuple):
    """What gc knows of a pack. Bytes are those of records, headers included."""

    pack: int
    durable: int
    """Bytes that are published: the pack's header and records, indexed or not."""
    size: int
    """Of the file: a dead upload may have left more than is durable."""
    live_objects: int = 0
    live_bytes: int = 0
    dead_objects: int = 0
    """Indexed, and in use by nobody."""
    is_former: bool = False
    """A former volfs made it, and it is to be rewritten for that."""
    is_busy: bool = False
    """Somebody holds its lock, or its file cannot be had."""

    @property
    def dead_bytes(self) -> int:
        """What would be won, records that no index entry names included."""
        return max(self.durable, self.size, PACK_HEADER_SIZE) - PACK_HEADER_SIZE - self.live_bytes


class CollectionPlan(NamedTuple):
    """Packs by id, ascending. Those in neither list stay as they are."""

    drop: tuple[PackUse, ...] = ()
    """Nothing in them is in use."""
    rewrite: tuple[PackUse, ...] = ()
    """More than half of them is in use by nobody, or a former volfs made them."""
    busy: tuple[PackUse, ...] = ()
    """Would be dropped or rewritten, if nobody had them."""

    @property
    def is_empty(self) -> bool:
        return not (self.drop or self.rewrite)


def plan_collection(uses: Iterable[PackUse]) -> CollectionPlan:
    """The plan for these packs. Carrying it out leaves packs that plan nothing more."""
    drop, rewrite, busy = [], [], []
    for use in sorted(uses):
        if not _is_wanted(use):
            continue
        if use.is_busy:
            busy.append(use)
        elif use.live_objects:
            rewrite.append(use)
        else:
            drop.append(use)
    return CollectionPlan(tuple(drop), tuple(rewrite), tuple(busy))


def _is_wanted(use: PackUse) -> bool:
    if use.live_objects:
        return use.is_former or use.dead_bytes > use.live_bytes
    return use.dead_bytes > 0 or use.dead_objects > 0
