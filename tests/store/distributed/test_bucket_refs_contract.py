"""What every engine promises of volumes and their history, for those in a bucket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store import test_refs_contract
from tests.store.contract import make_record
from tests.store.distributed.line_store import LineStore
from tests.store.test_refs_contract import (
    test_a_fork_is_a_volume_with_two_versions,
    test_a_fork_that_is_refused_changes_nothing,
    test_a_name_is_one_volume_in_each_environment,
    test_a_replica_leaves_numbers_out,
    test_a_tag_moves_only_if_it_may,
    test_a_tag_on_a_version_that_is_not_there,
    test_absent_volume,
    test_an_environment_is_renamed_whole_or_not_at_all,
    test_create_refuses_a_taken_name_and_changes_nothing,
    test_delete_removes_one_volume_and_its_versions,
    test_deleting_a_volume_deletes_its_tags,
    test_list_is_newest_first,
    test_new_volume_is_at_version_0,
    test_no_name_leads_into_another_environment,
    test_removed_versions_are_gone_and_the_others_stay,
    test_removing_from_a_deleted_volume,
    test_rename_keeps_the_id,
    test_rename_may_change_the_environment,
    test_rename_refuses,
    test_tags_belong_to_one_volume,
    test_tags_name_versions,
    test_versions_newest_first_across_many,
    test_volume_record_keeps_every_field,
    test_volumes_share_a_first_manifest,
    test_what_is_in_use_is_not_removed,
)
from volfs.store.contract.store import Store

__all__ = [
    "test_a_fork_is_a_volume_with_two_versions",
    "test_a_fork_that_is_refused_changes_nothing",
    "test_a_name_is_one_volume_in_each_environment",
    "test_a_replica_leaves_numbers_out",
    "test_a_tag_moves_only_if_it_may",
    "test_a_tag_on_a_version_that_is_not_there",
    "test_absent_volume",
    "test_an_environment_is_renamed_whole_or_not_at_all",
    "test_create_refuses_a_taken_name_and_changes_nothing",
    "test_delete_removes_one_volume_and_its_versions",
    "test_deleting_a_volume_deletes_its_tags",
    "test_list_is_newest_first",
    "test_new_volume_is_at_version_0",
    "test_no_name_leads_into_another_environment",
    "test_removed_versions_are_gone_and_the_others_stay",
    "test_removing_from_a_deleted_volume",
    "test_rename_keeps_the_id",
    "test_rename_may_change_the_environment",
    "test_rename_refuses",
    "test_tags_belong_to_one_volume",
    "test_tags_name_versions",
    "test_versions_newest_first_across_many",
    "test_volume_record_keeps_every_field",
    "test_volumes_share_a_first_manifest",
    "test_what_is_in_use_is_not_removed",
]


@pytest.fixture(params=["memory", "folder_of_seaweed"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LineStore]:
    bucket = request.getfixturevalue(request.param)
    monkeypatch.setattr(test_refs_contract, "open_store", lambda _: LineStore(bucket))
    store = LineStore(bucket)
    yield store
    check_another_process(store)


def check_another_process(store: LineStore) -> None:
    """A process that has read nothing finds the same volumes, versions and tags."""
    other = LineStore(store.bucket)
    records = store.refs.list_volumes()
    assert other.refs.list_volumes() == records
    for record in records:
        assert other.refs.find_volume_by_id(record.id) == record
        assert other.refs.get_head(record.id) == store.refs.guess_head(record.id)
        assert other.refs.logs.get(record.id) == store.refs.logs.get(record.id)


@pytest.fixture
def url() -> str:
    return "memory"


@pytest.fixture
def volume(store: Store) -> str:
    record = make_record()
    store.refs.create_volume(record, b"manifest 0")
    return record.id


def test_every_promise_is_tried() -> None:
    promises = {name for name in vars(test_refs_contract) if name.startswith("test_")}
    assert promises == set(__all__)
