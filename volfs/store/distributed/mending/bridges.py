"""What is put in the place of lines that are gone, for each kind of log.

A change of state that nothing tells is left out. For a volume, the line after a gap tells the head
before it and the packs that it relies on; the manifest of that head is the parent of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from volfs.model.logs.catalog_log import CatalogChange, CatalogState
from volfs.model.logs.gc_log import GcChange, GcState
from volfs.model.logs.line import Line
from volfs.model.logs.table_log import TableChange, TablesState
from volfs.model.logs.version_table import VersionRow
from volfs.model.logs.volume_changes import (
    LoggedPack,
    PacksFenced,
    VersionPublished,
    VolumeChange,
    VolumeCreated,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Oid
from volfs.store.distributed.mending.stored_manifests import StoredManifests


class CatalogBridge:
    """``GapBridge`` of the catalog."""

    def pass_over(self, state: CatalogState, number: int) -> CatalogState:
        return state._replace(number=number)

    def prepare(
        self, state: CatalogState, line: Line, changes: Sequence[CatalogChange]
    ) -> tuple[CatalogState, Sequence[CatalogChange]]:
        return state, changes


class GcBridge:
    """``GapBridge`` of the log of gc."""

    def pass_over(self, state: GcState | None, number: int) -> GcState | None:
        state = GcState(number) if state is None else state
        return state._replace(number=number, is_certain=False)

    def prepare(
        self, state: GcState | None, line: Line, changes: Sequence[GcChange]
    ) -> tuple[GcState | None, Sequence[GcChange]]:
        return state, changes


class TablesBridge:
    """``GapBridge`` of the log of tables."""

    def pass_over(self, state: TablesState, number: int) -> TablesState:
        return state._replace(number=number)

    def prepare(
        self, state: TablesState, line: Line, changes: Sequence[TableChange]
    ) -> tuple[TablesState, Sequence[TableChange]]:
        return state, changes


class VolumeClues(NamedTuple):
    """What else tells of a volume."""

    facts: VolumeFacts | None
    """What the catalog says of it."""
    lineage: Callable[[], StoredManifests]
    """The manifests that are stored."""
    find_pack: Callable[[str], LoggedPack | None]
    """The pack of this name, as it is in the bucket."""
    find_condemned: Callable[[int, int], Collection[str]]
    """The packs that gc has condemned in the eras after the first number, up to the second."""


class VolumeBridge:
    """``GapBridge`` of the log of a volume."""

    def __init__(self, clues: VolumeClues) -> None:
        self._clues = clues

    def pass_over(self, state: VolumeState | None, number: int) -> VolumeState | None:
        if state is None:
            return VolumeState(number, 0, self._clues.facts)
        return state._replace(number=number)

    def prepare(
        self, state: VolumeState | None, line: Line, changes: Sequence[VolumeChange]
    ) -> tuple[VolumeState | None, Sequence[VolumeChange]]:
        if state is None or isinstance(changes[:1] and changes[0], VolumeCreated):
            return None, changes
        is_fence = any(isinstance(change, PacksFenced) for change in changes)
        if line.era > state.era and not is_fence:
            state = self._raise_era(state, line.era)
        prepared: list[VolumeChange] = []
        for change in changes:
            if isinstance(change, VersionPublished):
                state, change = self._before_version(state, change)
            prepared.append(change)
        return state, prepared

    def _raise_era(self, state: VolumeState, era: int) -> VolumeState:
        """The state after a fence that is gone."""
        condemned = self._clues.find_condemned(state.era, era)
        closed = [name for name in condemned if state.packs.is_open(name)]
        return state._replace(era=era, packs=state.packs.turn(closed, is_open=False))

    def _before_version(
        self, state: VolumeState, change: VersionPublished
    ) -> tuple[VolumeState, VersionPublished]:
        versions = state.versions
        if change.after > versions.head:
            lineage = self._clues.lineage()
            for version, manifest in lineage.list_above(Oid(change.manifest), versions.head):
                if version <= change.after:
                    versions = versions.add(version, VersionRow(manifest, state.number))
            versions = versions._replace(head=change.after)
        unknown = [name for name in change.relies if name not in state.packs.packs]
        found = filter(None, map(self._clues.find_pack, unknown))
        packs = state.packs.add(found, state.number)
        relies = tuple(filter(packs.is_open, change.relies))
        shares = tuple(filter(versions.has, change.shares))
        new = msgspec.structs.replace(change, relies=relies, shares=shares)
        return state._replace(versions=versions, packs=packs), new
