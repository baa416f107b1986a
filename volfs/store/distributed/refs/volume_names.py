"""Names of volumes: the catalog is the authority for them.

A name may lead to a volume that was deleted, if whoever deleted it died before the catalog said
so. Such a name is free.
"""

from __future__ import annotations

from collections.abc import Callable

from volfs.errors import AlreadyExistsError, NotFoundError
from volfs.model.logs.catalog_log import (
    CatalogChange,
    CatalogState,
    NameChanged,
    NameGiven,
    NameRemoved,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.names import join_name
from volfs.store.contract.refs import describe_missing
from volfs.store.distributed.checkpoints.plain_logs import CatalogFollower


class VolumeNames:
    """The catalog of a store. Thread-safe. ``is_alive`` asks the log of a volume."""

    def __init__(self, catalog: CatalogFollower, is_alive: Callable[[str], bool]) -> None:
        self._follower = catalog
        self._is_alive = is_alive

    def list_all(self) -> list[VolumeFacts]:
        return list(self._read().volumes.values())

    def list_ids(self) -> set[str]:
        """The ids of all volumes that have a name, as they are now."""
        return set(self._read().volumes)

    def find_by_id(self, volume_id: str) -> VolumeFacts | None:
        """The facts of a volume with its present name. None if it has no name."""
        return self._read().volumes.get(volume_id)

    def get(self, name: str, environment: str) -> VolumeFacts:
        """The facts of the volume of this name. NotFoundError. The volume may be deleted."""
        found = self._follower.refresh_soon().state.find(name, environment)
        return _get(self._read(), name, environment) if found is None else found

    def check_free(self, facts: VolumeFacts) -> None:
        """AlreadyExistsError if another living volume has the name."""
        self._free(self._read(), facts.name, facts.environment)

    def give(self, facts: VolumeFacts) -> None:
        """Name a new volume. AlreadyExistsError."""

        def decide(state: CatalogState) -> list[CatalogChange]:
            if facts.id in state.volumes:
                return []
            return [*self._free(state, facts.name, facts.environment), NameGiven(facts)]

        self._follower.change(decide, guess=True)  # ``check_free`` has just read it.

    def rename(self, old: str, new: str, environment: str, to: str) -> VolumeFacts:
        """Give a living volume another name, and return its facts. NotFoundError;
        AlreadyExistsError."""
        renamed: list[VolumeFacts] = []

        def decide(state: CatalogState) -> list[CatalogChange]:
            facts = _get(state, old, environment)
            if not self._is_alive(facts.id):
                raise NotFoundError(describe_missing(old, environment))
            renamed[:] = [facts]
            freed = self._free(state, new, to)
            return [*freed, NameChanged(facts.id, new, to)]

        self._follower.change(decide)
        return renamed[0]

    def rename_environment(self, old: str, new: str) -> list[VolumeFacts]:
        """Move all names of an environment to another one, and return the facts that moved.
        AlreadyExistsError."""
        moved: list[VolumeFacts] = []

        def decide(state: CatalogState) -> list[CatalogChange]:
            moved[:] = [each for each in state.volumes.values() if each.environment == old]
            changes: list[CatalogChange] = []
            for facts in moved:
                changes += self._free(state, facts.name, new)
                changes.append(NameChanged(facts.id, facts.name, new))
            return changes

        self._follower.change(decide)
        return moved

    def remove(self, volume_id: str) -> None:
        """Free the name of a volume that was deleted."""

        def decide(state: CatalogState) -> list[CatalogChange]:
            return [NameRemoved(volume_id)] if volume_id in state.volumes else []

        self._follower.change(decide)

    def _read(self) -> CatalogState:
        return self._follower.refresh().state

    def _free(self, state: CatalogState, name: str, environment: str) -> list[CatalogChange]:
        """The changes after which a name is free. AlreadyExistsError if a living volume has it."""
        holder = state.find(name, environment)
        if holder is None:
            return []
        if self._is_alive(holder.id):
            raise AlreadyExistsError(f"volume {join_name(environment, name)}: already exists")
        return [NameRemoved(holder.id)]


def _get(state: CatalogState, name: str, environment: str) -> VolumeFacts:
    facts = state.find(name, environment)
    if facts is None:
        raise NotFoundError(describe_missing(name, environment))
    return facts
