"""Volumes whose logs are gone, made again from the manifests that are stored.

Only a volume that the catalog names is one that is lost; without a catalog, every volume that a
manifest names and that has no log. What such a volume needs is copied, from wherever it is, into
packs of its own. Lost are its tags, its leases, and what lay in its lines alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from volfs.errors import AlreadyExistsError, DataError
from volfs.model.logs.volume_changes import (
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    VolumeNamed,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.manifest import decode_manifest
from volfs.model.names import join_name
from volfs.model.objects import Oid
from volfs.store.contract.care import Named
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.mending.bucket_repair import RepairParts, mend_volume
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.mending.pack_check import load_record
from volfs.store.distributed.mending.stored_records import iter_manifest_records
from volfs.store.distributed.refs.facts_of_records import to_facts


class Recovery:
    """What ``Care`` has of recovery."""

    def __init__(self, parts: RepairParts) -> None:
        self._parts = parts

    def has_lost_refs(self) -> bool:
        survey = StoreSurvey(self._parts.bucket)
        if not _has_catalog(survey):
            return True
        return any(_is_lost(survey, volume) for volume in survey.catalog.known.state.volumes)

    def iter_manifests(self) -> Iterator[tuple[Oid, bytes]]:
        """The manifests of volumes that are lost."""
        survey = StoreSurvey(self._parts.bucket)
        named = survey.catalog.known.state.volumes
        for record in iter_manifest_records(self._parts.bucket, survey.objects):
            data = bytes(load_record(record))
            with suppress(DataError):
                volume = decode_manifest(data).volume
                is_known = volume in named or not _has_catalog(survey)
                if is_known and _is_lost(survey, volume):
                    yield record.header.oid, data

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        survey = StoreSurvey(self._parts.bucket)
        manifests = tuple(sorted((head.version, bytes(head.manifest)) for head in versions))
        # The catalog knows more of a volume than its manifests.
        facts = survey.catalog.known.state.volumes.get(record.id) or to_facts(record)
        changes: list[VolumeChange] = [VolumeCreated(facts, manifests)]
        there = {version for version, _ in manifests}
        changes += (VersionTagged(tag, v) for tag, v in sorted(tags.items()) if v in there)
        # The newest era: no pack of the new log was condemned before.
        if not self._parts.logs.begin(record.id, changes, b"", max(survey.gc.known.number, 0)):
            raise AlreadyExistsError(f"volume {record.id}: already exists")
        self._fill_numbers(survey, facts)
        mend_volume(self._parts, record.id)
        if facts.name != facts.id:
            self._parts.names.give(facts)

    def _fill_numbers(self, survey: StoreSurvey, facts: VolumeFacts) -> None:
        """Write lines that change nothing, as far as other logs tell of lines: no number of theirs
        is used again."""
        objects = survey.objects.volumes.get(facts.id)
        follower = self._parts.logs.open(facts.id)
        named = VolumeNamed(facts.name, facts.environment)
        while objects is not None and follower.known.number < objects.log.told:
            follower.propose(follower.known, [named])

    def list_named(self) -> dict[str, Named]:
        """The names that the catalog has."""
        volumes = StoreSurvey(self._parts.bucket).catalog.known.state.volumes
        return {
            volume: Named(join_name(facts.environment, facts.name), {})
            for volume, facts in volumes.items()
        }


def _has_catalog(survey: StoreSurvey) -> bool:
    return bool(survey.objects.catalog.lines or survey.objects.catalog.checkpoints)


def _is_lost(survey: StoreSurvey, volume: str) -> bool:
    """Whether nothing is left of the log of a volume."""
    objects = survey.objects.volumes.get(volume)
    return objects is None or not (objects.log.lines or survey.has_versions(volume))
