"""What every engine promises of objects and uploads, for those in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.contract import make_record
from tests.store.distributed.stand_in import StandInStore
from tests.store.test_objects_contract import (
    test_a_miss_is_not_remembered,
    test_a_range_outside_the_object_is_damage,
    test_an_upload_of_a_manifest_alone,
    test_an_upload_relies_on_what_is_there_only,
    test_an_upload_sees_published_objects_too,
    test_any_buffer_may_be_put,
    test_known_objects_are_not_written_again,
    test_leaving_without_publishing_forgets,
    test_missing_object,
    test_more_than_one_pack,
    test_nothing_is_visible_before_publish,
    test_objects_come_back,
    test_one_upload_publishes_again_and_again,
    test_publishing_a_known_manifest,
    test_publishing_a_manifest_nobody_put,
    test_ready_reads_give_the_same_or_nothing,
    test_the_kind_is_part_of_the_id,
    test_threads_put_at_once,
    test_what_is_asked_for_at_once_may_be_unknown,
)

__all__ = [
    "test_a_miss_is_not_remembered",
    "test_a_range_outside_the_object_is_damage",
    "test_an_upload_of_a_manifest_alone",
    "test_an_upload_relies_on_what_is_there_only",
    "test_an_upload_sees_published_objects_too",
    "test_any_buffer_may_be_put",
    "test_known_objects_are_not_written_again",
    "test_leaving_without_publishing_forgets",
    "test_missing_object",
    "test_more_than_one_pack",
    "test_nothing_is_visible_before_publish",
    "test_objects_come_back",
    "test_one_upload_publishes_again_and_again",
    "test_publishing_a_known_manifest",
    "test_publishing_a_manifest_nobody_put",
    "test_ready_reads_give_the_same_or_nothing",
    "test_the_kind_is_part_of_the_id",
    "test_threads_put_at_once",
    "test_what_is_asked_for_at_once_may_be_unknown",
]


@pytest.fixture(params=["memory", "folder_of_seaweed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StandInStore]:
    store = StandInStore(request.getfixturevalue(request.param), tmp_path / "here")
    yield store
    store.close()
    # Another machine, which knows nothing, reads everything by what the logs say.
    other = StandInStore(store.bucket, tmp_path / "there")
    assert list(other.care.iter_damage()) == []
    other.close()


@pytest.fixture
def volume(store: StandInStore) -> str:
    record = make_record()
    store.refs.create_volume(record, b"manifest 0")
    return record.id
