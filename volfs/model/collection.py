"""Which packs gc drops, rewrites or leaves, from what each pack holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from volfs.model.pack import PACK_HEADER_SIZE


class PackUse(NamedTuple):
    """What gc knows of a pack. Sizes in bytes are those of records, headers included."""

    pack: int
    durable: int
    """Published bytes: the pack's header and its records, indexed or not."""
    size: int
    """The size of the file. A dead upload may have left more bytes than are durable."""
    live_objects: int = 0
    live_bytes: int = 0
    dead_objects: int = 0
    """Bytes of records that are indexed, and that nothing uses."""
    is_former: bool = False
    """Whether a former volfs made the pack, and it is to be rewritten for that."""
    is_busy: bool = False
    """Whether somebody holds the pack's lock, or its file cannot be opened."""

    @property
    def dead_bytes(self) -> int:
        """The bytes that dropping the dead would free, including records that no index entry
        names."""
        return max(self.durable, self.size, PACK_HEADER_SIZE) - PACK_HEADER_SIZE - self.live_bytes


class CollectionPlan(NamedTuple):
    """Packs by id, ascending. Packs in neither list stay as they are."""

    drop: tuple[PackUse, ...] = ()
    """Nothing in these packs is in use."""
    rewrite: tuple[PackUse, ...] = ()
    """More than half of each of these packs is unused, or a former volfs made it."""
    busy: tuple[PackUse, ...] = ()
    """Packs that would be dropped or rewritten if nobody used their files."""

    @property
    def is_empty(self) -> bool:
        return not (self.drop or self.rewrite)


def plan_collection(uses: Iterable[PackUse]) -> CollectionPlan:
    """The plan for these packs. After it is carried out, a new plan for the rest is empty."""
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


def limit_plan(plan: CollectionPlan, packs: int, rewritten: int | None) -> CollectionPlan:
    """The plan cut down to so many packs, and to so many bytes of copies if that is not None.

    Packs whose rewriting frees the most for what it copies come first. The rest is for the next
    plan.
    """
    left = rewritten
    chosen = []
    for use in sorted(plan.rewrite, key=_rate_rewriting):
        if left is not None:
            if use.live_bytes > left:
                continue
            left -= use.live_bytes
        chosen.append(use)
    drop = plan.drop[:packs]
    kept = set(chosen[: packs - len(drop)])
    return plan._replace(drop=drop, rewrite=tuple(use for use in plan.rewrite if use in kept))


def _rate_rewriting(use: PackUse) -> tuple[float, int]:
    return use.live_bytes / max(use.dead_bytes, 1), use.pack
