"""What version 0 of a volume says about the volume, from which a lost record can be made again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from volfs.model.manifest import Manifest
from volfs.model.names import MAIN, was_environment, was_volume_name
from volfs.model.profile import DEFAULT_CHUNK_BITS, DEFAULT_PROFILE
from volfs.store.contract.refs import VolumeRecord


class _Facts(msgspec.Struct, omit_defaults=True):
    """The message of version 0."""

    name: str
    profile: int = DEFAULT_PROFILE
    chunk_bits: int = DEFAULT_CHUNK_BITS
    auto_commit: float | None = None
    environment: str = MAIN
    forked_from: str = ""
    forked_at: int = 0


class ForkedFrom(NamedTuple):
    """The version of a volume from which a fork was made."""

    volume_id: str
    version: int


def describe_record(record: VolumeRecord, forked: ForkedFrom | None = None) -> str:
    """The message of a volume's version 0, from which the record can be made again."""
    facts = _Facts(
        record.name,
        record.profile,
        record.chunk_bits,
        record.auto_commit,
        record.environment,
        *(forked or ()),
    )
    return msgspec.json.encode(facts).decode()


def find_forked_from(manifest: Manifest) -> ForkedFrom | None:
    """What a volume was forked from, as its version 0 tells.

    None if it is no fork, or was forked by a volfs that did not tell.
    """
    facts = _read_facts(manifest)
    if facts is None or not facts.forked_from:
        return None
    return ForkedFrom(facts.forked_from, facts.forked_at)


def find_record(manifest: Manifest) -> VolumeRecord | None:
    """The record with which the volume was created. None if the manifest is not a version 0 that
    tells it."""
    facts = _read_facts(manifest)
    if facts is None:
        return None
    return VolumeRecord(
        manifest.volume,
        facts.name,
        facts.profile,
        facts.chunk_bits,
        manifest.created_ns,
        manifest.author,
        facts.auto_commit,
        facts.environment,
    )


def _read_facts(manifest: Manifest) -> _Facts | None:
    if manifest.version != 0:
        return None
    try:
        facts = msgspec.json.decode(manifest.message, type=_Facts)
    except (msgspec.MsgspecError, RecursionError):
        return None
    is_ours = was_volume_name(facts.name) and was_environment(facts.environment)
    return facts if is_ours else None
