"""Names of volumes, by hundreds of schedules: one name, one living volume, and no lie."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sim.name_actions import run_names
from tests.sim.scheduler import ScheduleError, count_schedules, run_schedules
from volfs.model.logs.volume_changes import VolumeCreated
from volfs.store.contract.refs import VolumeRecord
from volfs.store.distributed.refs.bucket_refs import BucketRefs
from volfs.store.distributed.refs.facts_of_records import to_facts

SCHEDULES = 120


def test_schedules_of_names() -> None:
    run_schedules(count_schedules(SCHEDULES), run_names)


# --- mutations of the code ----------------------------------------------------------


class KeepsTheLog(BucketRefs):
    """A volume whose name is taken is not ended."""

    def _begin(
        self, record: VolumeRecord, created: VolumeCreated, manifests: Sequence[bytes], era: int
    ) -> None:
        self._check_free(record)
        self.logs.begin(record.id, [created], b"", era)
        self.names.give(created.facts)


class NamesFirst(BucketRefs):
    """The catalog hears of a new volume before there is one."""

    def _begin(
        self, record: VolumeRecord, created: VolumeCreated, manifests: Sequence[bytes], era: int
    ) -> None:
        self._check_free(record)
        self.names.give(to_facts(record))
        self.logs.begin(record.id, [created], b"", era)


class ForgetsTheName(BucketRefs):
    """A new volume gets no name."""

    def _begin(
        self, record: VolumeRecord, created: VolumeCreated, manifests: Sequence[bytes], era: int
    ) -> None:
        self.logs.begin(record.id, [created], b"", era)


MUTANTS: dict[type[BucketRefs], str] = {
    KeepsTheLog: "refused, and alive",
    NamesFirst: "a name of nothing",
    ForgetsTheName: "it lives without a name",
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_bugs_show(mutant: type[BucketRefs]) -> None:
    with pytest.raises(ScheduleError, match=f"AssertionError: .*{MUTANTS[mutant]}"):
        run_schedules(600, lambda seed: run_names(seed, lambda bucket: mutant(bucket, list)))
