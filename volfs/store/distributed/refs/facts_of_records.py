"""The facts of a volume in lines, and the record that the contract has of a volume."""

from __future__ import annotations

from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.text import from_stored, to_stored
from volfs.store.contract.refs import VolumeRecord


def to_facts(record: VolumeRecord) -> VolumeFacts:
    return VolumeFacts(
        record.id,
        record.name,
        record.profile,
        record.chunk_bits,
        record.created_ns,
        to_stored(record.created_by),
        record.auto_commit,
        record.environment,
    )


def to_record(facts: VolumeFacts) -> VolumeRecord:
    return VolumeRecord(
        facts.id,
        facts.name,
        facts.profile,
        facts.chunk_bits,
        facts.created_ns,
        from_stored(facts.created_by),
        facts.auto_commit,
        facts.environment,
    )
