"""The catalog of a store in a bucket: which volume has which name, and settings of the store.

It is the authority for names. Ephemeral volumes, whose name is their id, are not in it. Layout:
docs/format.md, "The catalog".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from immutables import Map
from msgspec import Meta

from volfs.errors import AlreadyExistsError, ConflictError, DamagedObjectError, NotFoundError
from volfs.model.logs.change_codec import ChangeCodec, LogChange, decode_content
from volfs.model.logs.volume_facts import Natural, OidField, VolumeFacts, VolumeId, VolumeName
from volfs.model.names import join_name
from volfs.model.objects import Buffer

CATALOG_MAGIC = b"VOLFSCC1"
SettingKey = Annotated[str, Meta(min_length=1, max_length=64)]
SettingValue = Annotated[str, Meta(max_length=4096)]


class NameGiven(LogChange, tag="named", frozen=True):
    """A volume was created, and has a name from now on."""

    facts: VolumeFacts


class NameChanged(LogChange, tag="renamed", frozen=True):
    volume: VolumeId
    name: VolumeName
    environment: VolumeName


class NameRemoved(LogChange, tag="removed", frozen=True):
    """A volume was deleted, and its name is free."""

    volume: VolumeId


class SettingChosen(LogChange, tag="setting", frozen=True):
    """A setting of the store has another value. An empty value removes the setting."""

    key: SettingKey
    value: SettingValue


CatalogChange = NameGiven | NameChanged | NameRemoved | SettingChosen
CATALOG_CHANGES: ChangeCodec[CatalogChange] = ChangeCodec("line of the catalog", CatalogChange)


class CatalogState(NamedTuple):
    """The catalog after a line."""

    number: int = -1
    volumes: Map[str, VolumeFacts] = Map()
    """The facts of each volume that has a name, with that name."""
    names: Map[tuple[str, str], str] = Map()
    """The id of the volume of each environment and name."""
    settings: Map[str, str] = Map()

    def find(self, name: str, environment: str) -> VolumeFacts | None:
        volume = self.names.get((environment, name))
        return None if volume is None else self.volumes[volume]


NO_NAMES = CatalogState()
"""The catalog before its first line."""


def apply(
    state: CatalogState | None, number: int, era: int, changes: Sequence[CatalogChange]
) -> CatalogState:
    """The state after one more line. Without a state, the line is the first one.

    AlreadyExistsError if a name is taken; NotFoundError if a volume has no name; ConflictError for
    every other line that cannot follow. The state stays as it was.
    """
    state = NO_NAMES if state is None else state
    if number != state.number + 1 or era or not changes:
        raise ConflictError(f"line {number} of era {era} cannot follow line {state.number}")
    state = state._replace(number=number)
    for change in changes:
        state = _apply_change(state, change)
    return state


def _apply_change(state: CatalogState, change: CatalogChange) -> CatalogState:
    match change:
        case NameGiven(facts):
            if facts.id in state.volumes:
                raise AlreadyExistsError(f"volume {facts.id}: it has a name")
            return _name(state, facts)
        case NameChanged(volume, name, environment):
            facts = _get_facts(state, volume)
            renamed = msgspec.structs.replace(facts, name=name, environment=environment)
            return _name(_unname(state, facts), renamed)
        case NameRemoved(volume):
            return _unname(state, _get_facts(state, volume))
        case SettingChosen(key, value):
            settings = state.settings.update({key: value})
            return state._replace(settings=settings if value else settings.delete(key))


def _get_facts(state: CatalogState, volume: str) -> VolumeFacts:
    facts = state.volumes.get(volume)
    if facts is None:
        raise NotFoundError(f"volume {volume}: it has no name")
    return facts


def _name(state: CatalogState, facts: VolumeFacts) -> CatalogState:
    key = (facts.environment, facts.name)
    if key in state.names:
        raise AlreadyExistsError(f"volume {join_name(*key)}: already exists")
    return state._replace(
        volumes=state.volumes.set(facts.id, facts), names=state.names.set(key, facts.id)
    )


def _unname(state: CatalogState, facts: VolumeFacts) -> CatalogState:
    return state._replace(
        volumes=state.volumes.delete(facts.id),
        names=state.names.delete((facts.environment, facts.name)),
    )


# --- checkpoints ------------------------------------------------------------


class CatalogCheckpoint(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The catalog after line ``number``."""

    number: Natural
    digest: OidField
    """The digest of that line."""
    volumes: tuple[VolumeFacts, ...]
    settings: tuple[tuple[SettingKey, SettingValue], ...]


_decoder = msgspec.msgpack.Decoder(CatalogCheckpoint)


def encode_catalog(state: CatalogState, digest: bytes) -> bytes:
    """The content of a checkpoint. Equal states give equal bytes."""
    volumes = tuple(sorted(state.volumes.values(), key=lambda facts: facts.id))
    settings = tuple(sorted(state.settings.items()))
    return msgspec.msgpack.encode(CatalogCheckpoint(state.number, digest, volumes, settings))


def decode_catalog(data: Buffer) -> tuple[CatalogState, bytes]:
    """A state, and the digest of its line. DamagedObjectError."""
    found = decode_content("checkpoint of the catalog", _decoder, data)
    state = CatalogState(
        found.number,
        Map({facts.id: facts for facts in found.volumes}),
        Map({(facts.environment, facts.name): facts.id for facts in found.volumes}),
        Map(found.settings),
    )
    if not len(state.names) == len(state.volumes) == len(found.volumes):
        raise DamagedObjectError("checkpoint of the catalog: two volumes of one name or id")
    return state, found.digest
