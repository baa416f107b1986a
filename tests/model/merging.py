"""Merging of volumes that tests write as paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.harness.memory import MemoryObjects
from tests.model.builders import (
    build,
    read_paths,
    read_records,
)
from volfs.model.manifest import Snapshot
from volfs.model.merge import Merged, merge_snapshots
from volfs.model.profile import PROFILES, Profile

Paths = Mapping[str, bytes | int | None]
Records = Mapping[int, bytes]


class Result(NamedTuple):
    paths: dict[str, bytes | int | None]
    records: dict[int, bytes]
    overridden: list[tuple[str, str, str]]
    """Path, what they had done, what we had done."""


def merge(
    store: MemoryObjects,
    base: Snapshot,
    ours: Snapshot,
    theirs: Snapshot,
    profile: Profile = PROFILES[2],
) -> Merged:
    return merge_snapshots(store.get_tree, store.put, base, ours, theirs, profile)


def merge_paths(
    base: Paths, ours: Paths, theirs: Paths, *records: Records, profile: Profile = PROFILES[2]
) -> Result:
    """Merge what ``build`` makes of dicts; ``records`` are those of base, ours and theirs."""
    store = MemoryObjects()
    sides = zip((base, ours, theirs), records or ({}, {}, {}), strict=True)
    merged = merge(store, *(build(store, paths, held) for paths, held in sides), profile=profile)
    overridden = [(b"/".join(o.path).decode(), o.theirs, o.ours) for o in merged.overridden]
    snapshot = merged.snapshot
    return Result(read_paths(store, snapshot), read_records(store, snapshot), overridden)
