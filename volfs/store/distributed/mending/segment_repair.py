"""Damaged index segments are dropped: the footers of the packs say the same."""

from __future__ import annotations

from volfs.model.logs.volume_changes import PacksMended, VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.mending.segment_check import judge_segment
from volfs.store.distributed.place.object_keys import segment_name
from volfs.store.distributed.refs.volume_logs import VolumeLogs, require


class SegmentMender:
    def __init__(self, survey: StoreSurvey, logs: VolumeLogs) -> None:
        self._survey = survey
        self._logs = logs
        self.passed: set[str] = set()
        self.mended = 0

    def mend_all(self) -> None:
        """StoreError."""
        for volume, state in self._survey.iter_living():
            damaged = {
                segment.name: segment_name(segment.volume, segment.name)
                for segment in state.segments
                if judge_segment(self._survey.bucket, segment, state)
            }
            if damaged:
                self._drop(volume, set(damaged))
                self.passed |= set(damaged.values())

    def _drop(self, volume: str, names: set[str]) -> None:
        def decide(state: VolumeState | None) -> list[VolumeChange]:
            known = require(volume, state).segments
            dropped = tuple(each.name for each in known if each.name in names)
            return [PacksMended(dropped=dropped)] if dropped else []

        self._logs.open(volume).change(decide)
        self.mended += 1
