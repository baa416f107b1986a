"""The name log is checked against the index, and written anew where it would not give that back."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.harness.damage import spoil_rows
from tests.volume.index_rows import flip
from tests.volume.repairing import (
    Whole,
    find_damage,
    lose_index,
    name_log,
    names_of,
    reopened,
    repair,
    spoil_line,
)
from volfs.store.contract.care import RepairReport
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.embedded.refs.name_log import NameLog, Naming
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume, rename_volume


def give_names(store: Store, volume: VolumeRecord) -> object:
    """Names and tags, of which some are given twice, moved or taken away."""
    rename_volume(store, "data", "other")
    rename_volume(store, "other", "renamed")
    for tag, version in (("moved", 1), ("gone", 1), ("stays", 1), ("moved", 2)):
        store.refs.put_tag(volume.id, tag, version, move=True)
    store.refs.delete_tag(volume.id, "gone")
    return names_of(store)


NAMED = {
    "a tag": ('"moved","version":2', ["line 14 is damaged", "that tag moved of volume"]),
    "a name": ('"renamed"', ["line 6 is damaged", "is called renamed"]),
    "of what is gone": ('"gone"', ["line 10 is damaged", "line 16 is damaged"]),
}


@pytest.mark.parametrize("which", NAMED)
def test_damaged_lines_of_the_name_log_are_named_and_mended(whole: Whole, which: str) -> None:
    store, volume = whole
    names = give_names(store, volume)
    text, wanted = NAMED[which]
    spoil_line(store, text)
    found = find_damage(store)
    assert len(found) == len(wanted)
    for problem, part in zip(found, wanted, strict=True):
        assert problem.startswith("names.log: ")
        assert part in problem
        assert "`volfs check --repair`" in problem
    assert repair(store).mended_names == len(wanted)
    assert check_store(store).is_clean
    assert names_of(store) == names
    rebuild_store(lose_index(store))
    with closing(open_store(store.url)) as store:
        assert names_of(store) == names


@pytest.mark.parametrize("left", ["none", "nothing", "half"])
def test_a_name_log_that_is_gone_is_named_and_made_again(whole: Whole, left: str) -> None:
    store, volume = whole
    assert repair(store) == RepairReport(), "none is needed before a name is given"
    names = give_names(store, volume)
    log = name_log(store)
    log.write_bytes(b"" if left == "nothing" else log.read_bytes()[: log.stat().st_size // 2])
    if left == "none":
        log.unlink()
    found = find_damage(store)
    assert len(found) == {"none": 1, "nothing": 3, "half": 2}[left]
    assert ("it is gone, and 3 names" in found[0]) == (left == "none")
    assert repair(store).mended_names == len(found)
    assert check_store(store).is_clean
    rebuild_store(lose_index(store))
    with closing(open_store(store.url)) as store:
        assert names_of(store) == names


def test_what_a_crash_leaves_in_the_name_log_is_no_damage(whole: Whole) -> None:
    """Lines that are torn, also in the midst, and changes that the index has not."""
    store, volume = whole
    give_names(store, volume)
    log = name_log(store)
    whole_line = log.read_bytes().split(b"\n")[1]
    for size in (1, 30, len(whole_line)):
        log.write_bytes(log.read_bytes() + b"\n" + whole_line[:size])
        assert check_store(store).is_clean
        store.refs.put_tag(volume.id, f"after-{size}", 1)
    names = NameLog(log)
    for naming in (
        Naming(volume.id, name="never"),
        Naming(volume.id, tag="stays", version=2),
        Naming(volume.id, tag="moved"),
        Naming(volume.id),
    ):
        names.add(naming, ())
        assert check_store(store).is_clean, naming
    assert repair(store) == RepairReport()


def test_rows_are_mended_before_the_name_log(whole: Whole) -> None:
    """A log that was made from an index with damaged rows would forget what they were."""
    store, volume = whole
    names = give_names(store, volume)
    spoil_line(store, '"other"')
    spoil_rows(store, b"tags")
    report = repair(store)
    assert (report.mended_rows, report.mended_names) == (2, 2)
    assert names_of(store) == names
    assert check_store(store).is_clean


def test_what_row_and_name_log_have_lost_is_named(whole: Whole) -> None:
    """An older line is no way to mend a row, and the log is left until somebody decides."""
    store, volume = whole
    give_names(store, volume)
    spoil_line(store, '"moved","version":2')
    log = name_log(store).read_bytes()
    spoil_rows(store, b"tags")
    assert not repair_store(store).has_changed
    assert name_log(store).read_bytes() == log
    found = "\n".join(find_damage(store))
    for tag in ("moved", "stays"):
        assert f"{volume.id}/{tag}" in found
        store.refs.put_tag(volume.id, tag, 2, move=True)
    assert "`volfs tag --force`" in found
    assert repair(store).mended_names == 1
    assert store.refs.list_tags(volume.id) == [("moved", 2), ("stays", 2)]
    assert check_store(store).is_clean


def test_a_name_that_nothing_tells_any_more(whole: Whole) -> None:
    """That of its creation, if version 0 cannot be read."""
    store, volume = whole
    oid = store.refs.find_version(volume.id, 0)
    assert oid is not None
    flip(store, oid)
    store = reopened(store)
    assert any(problem.startswith("names.log: it is gone") for problem in find_damage(store))
    assert repair(store).mended_names == 1
    rebuild_store(lose_index(store))
    with closing(open_store(store.url)) as store:
        assert [v.name for v in store.refs.list_volumes()] == ["data"]


def test_a_name_is_kept_from_version_0(whole: Whole) -> None:
    store, volume = whole
    assert store.care.list_named() == {}
    store.refs.remove_versions(volume.id, [0])
    assert store.care.list_named()[volume.id].name == "data"
    assert check_store(store).is_clean


def test_a_repair_remembers_what_was_deleted(whole: Whole) -> None:
    """Or it would come back under its name with a lost index."""
    store, volume = whole
    create_volume(store, "gone")
    delete_volume(store, "gone")
    store.refs.put_tag(volume.id, "one", 1)
    spoil_line(store, '"one"')
    assert repair(store).mended_names == 2
    rebuild_store(lose_index(store))
    with closing(open_store(store.url)) as store:
        names = sorted(v.name.partition("-")[0] for v in store.refs.list_volumes())
        assert names == ["data", "recovered"]


def test_a_log_that_gc_wrote_is_checked_by_line(whole: Whole) -> None:
    store, volume = whole
    give_names(store, volume)
    collect_garbage(store)
    spoil_line(store, '"stays"')
    damaged, missing = find_damage(store)
    assert "line 6 is damaged" in damaged
    assert "tag stays" in missing
    assert repair(store).mended_names == 2
