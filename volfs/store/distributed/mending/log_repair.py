"""Logs that cannot be read are made readable again.

Nothing is overwritten, so a line that is damaged stays as it is. What is left of the log gives a
state, and a checkpoint has that state. Readers begin after the newest checkpoint. They believe one
only if its own line is whole; where the last line is not, a line that changes nothing comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from volfs.buckets.access import Bucket
from volfs.errors import ConflictError, ObjectExistsError
from volfs.errors.fault_points import reached
from volfs.model.logs.catalog_log import CatalogState, SettingChosen
from volfs.model.logs.line import digest_line
from volfs.model.logs.pack_table import PackTable
from volfs.model.logs.table_log import RowPut, RowRemoved, TableChange, TablesState
from volfs.model.logs.volume_changes import (
    VersionPublished,
    VolumeChange,
    VolumeDeleted,
    VolumeNamed,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.store.distributed.log.follower import KnownLog, LogRules
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import CATALOG_RULES, GC_RULES, TABLE_RULES, volume_rules
from volfs.store.distributed.mending.checkpoint_forms import (
    CheckpointForm,
    catalog_form,
    gc_form,
    tables_form,
    volume_form,
)
from volfs.store.distributed.mending.inventory import LogObjects
from volfs.store.distributed.mending.log_salvage import LogRemains
from volfs.store.distributed.mending.log_survey import StoreSurvey

State = TypeVar("State")
Change = TypeVar("Change")
_log = logging.getLogger(__name__)
_REPAIRED = "repaired"
"""A setting that nothing has: to remove it changes nothing."""


class LogToMend(NamedTuple, Generic[State, Change]):
    """One log, and how it is mended."""

    objects: LogObjects
    found: LogRemains[State]
    rules: LogRules[State, Change]
    form: CheckpointForm[State]
    go_on: Callable[[State], Sequence[Change]]
    """The changes of one more line: what is left to be done, or a change that changes nothing.
    None if there is no such change."""


class LogMender:
    """Makes logs readable. ``passed`` are the keys of objects that nobody needs any more."""

    def __init__(self, survey: StoreSurvey) -> None:
        self._survey = survey
        self._bucket: Bucket = survey.bucket
        self.passed: set[str] = set()
        self.mended = 0

    def mend_all(self) -> None:
        """StoreError; ConflictError if somebody else writes to a log that cannot be read."""
        survey, bucket = self._survey, self._bucket
        self._mend(
            LogToMend(
                survey.objects.catalog,
                survey.catalog,
                CATALOG_RULES,
                catalog_form(bucket),
                _set_nothing,
            )
        )
        gc = LogToMend(survey.objects.gc, survey.gc, GC_RULES, gc_form(bucket), lambda state: ())
        self._mend(gc)
        self._mend(
            LogToMend(
                survey.objects.secrets,
                survey.tables,
                TABLE_RULES,
                tables_form(bucket),
                _put_nothing,
            )
        )
        for volume, found in survey.volumes.items():
            objects = survey.objects.volumes[volume].log
            state = found.known.state
            is_known = state is not None and (state.is_deleted or state.facts is not None)
            if is_known and survey.has_versions(volume):
                found.known = _without_packs(found.known)
                form = volume_form(bucket, volume)
                self._mend(LogToMend(objects, found, volume_rules(volume), form, self._go_on))

    def _mend(self, log: LogToMend[State, Change]) -> None:
        found = log.found
        keys = {key for key, _ in found.damage} - self._survey.noted.passed
        if found.is_readable and not keys:
            return
        known: KnownLog[State] | None = found.known
        if found.is_readable:
            self._try_checkpoint(log, found.known)
        else:
            known = self._make_readable(log, found.known)
        if known is not None:
            found.known = known
            self.passed |= keys
            self.mended += 1
            for doubt in found.doubts:
                _log.warning("%s", doubt)

    def _make_readable(
        self, log: LogToMend[State, Change], known: KnownLog[State]
    ) -> KnownLog[State] | None:
        """Make a checkpoint that readers believe. None if the log takes no line for it."""
        is_whole = log.objects.end not in log.found.broken
        while not (is_whole and self._try_checkpoint(log, known)):
            after = self._append(log, known)
            if after is None:
                return None
            known, is_whole = after, True
        return known

    def _try_checkpoint(self, log: LogToMend[State, Change], known: KnownLog[State]) -> bool:
        """Make the checkpoint after the last line, unless there is one."""
        try:
            key = log.objects.place.checkpoint(known.number)
            self._bucket.put(key, log.form.encode(known), create=True)
        except ObjectExistsError:
            return False
        reached("mending.checkpoint")
        return True

    def _append(
        self, log: LogToMend[State, Change], known: KnownLog[State]
    ) -> KnownLog[State] | None:
        changes = log.go_on(known.state)
        if not changes:
            return None
        number = known.number + 1
        state = log.rules.apply(known.state, number, known.era, changes)
        writer = Log(self._bucket, log.objects.place)
        line = writer.make_line(known.digest, known.era, log.rules.codec.encode(changes))
        if writer.append(number, line).nonce != line.nonce:
            raise ConflictError(
                f"{log.objects.place.line(number)}: somebody wrote it meanwhile; repair again"
            )
        return KnownLog(state, number, digest_line(line), known.era)

    def _go_on(self, state: VolumeState | None) -> Sequence[VolumeChange]:
        """The next version that its manifest alone tells, or the name that the volume has."""
        if state is None or state.facts is None or state.is_deleted:
            return ()
        if state.facts.id not in self._survey.catalog.known.state.volumes and self._ended(state):
            return (VolumeDeleted(),)
        head = state.versions.head
        row = state.versions.find(head)
        below = self._survey.manifests.list_below(state.facts.id, row.manifest) if row else []
        for version, manifest in below:
            if version > head:
                return (VersionPublished(version, bytes(manifest), head),)
        return (VolumeNamed(state.facts.name, state.facts.environment),)

    def _ended(self, state: VolumeState) -> bool:
        """Whether the last line, which is damaged, says that the volume is deleted."""
        assert state.facts is not None
        return self._survey.says_deleted(state.facts.id)


def _without_packs(known: KnownLog[VolumeState | None]) -> KnownLog[VolumeState | None]:
    """The same, without the packs of a deleted volume of which not even the id is known."""
    state = known.state
    if state is None or state.facts is not None:
        return known
    return known._replace(state=state._replace(packs=PackTable()))


def _set_nothing(state: CatalogState) -> Sequence[SettingChosen]:
    return (SettingChosen(_REPAIRED, ""),)


def _put_nothing(state: TablesState) -> Sequence[TableChange]:
    return RowPut(_REPAIRED, b"-", b""), RowRemoved(_REPAIRED, b"-")
