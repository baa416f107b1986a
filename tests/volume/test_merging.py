"""Merging forks: what counts as theirs, what the other volume gets, and what is noted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.servers import SeaweedServer
from tests.volume.shortcuts import (
    Interloper,
    LostAnswer,
    list_paths,
    noise,
    publish_files,
    read_file,
)
from volfs.errors import InvalidError, LimitError, NotFoundError, OverriddenError
from volfs.model.merge_note import MergeNote, add_merge_note, split_merge_note
from volfs.model.profile import get_profile
from volfs.model.retention import KeepRules
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.history import get_version, iter_history
from volfs.volume.merging import MergeOptions, MergeReport, get_merge_target, merge_volume
from volfs.volume.restore import restore_version
from volfs.volume.volumes import create_volume, delete_volume, fork_volume, rename_volume


def fork(store: Store, volume: VolumeRecord, name: str = "dev", at: str = "head") -> VolumeRecord:
    return fork_volume(store, volume, name, get_version(store.refs, volume, at))


def names(brought: MergeReport) -> list[str]:
    return [b"/".join(change.path).decode() for change in brought.changes]


def merge_change(store: Store, dev: VolumeRecord, volume: VolumeRecord, name: str) -> MergeReport:
    """Change a file of a fork, and merge that."""
    publish_files(store, dev, {name: b"dev"})
    return merge_volume(store, dev, volume)


@pytest.fixture
def dev(store: Store, volume: VolumeRecord) -> VolumeRecord:
    """A fork of a volume with some files."""
    publish_files(store, volume, {"a": b"1", "b": b"1", "d/e": noise(200_000)})
    return fork(store, volume)


def test_changes_come_back(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    big = noise(300_000, seed=1)
    publish_files(store, dev, {"a": b"dev", "d/new": big, "b": None})
    publish_files(store, volume, {"c": b"data"})
    brought = merge_volume(store, dev, get_merge_target(store, dev))
    assert names(brought) == ["a", "b", "d/new"]
    assert (brought.before.version, brought.after.version, brought.conflicts) == (2, 3, [])
    assert list_paths(store, volume) == ["a", "c", "d/", "d/e", "d/new"]
    assert read_file(store, volume, "d/new") == big
    newest = next(iter_history(store, volume))
    assert newest.message == "merge dev at version 2"
    delete_volume(store, "dev")
    collect_garbage(store, grace=0)
    assert read_file(store, volume, "d/new") == big


def test_a_second_merge_brings_what_is_newer(
    store: Store, volume: VolumeRecord, dev: VolumeRecord
) -> None:
    merge_change(store, dev, volume, "a")
    publish_files(store, volume, {"a": b"data, later"})
    assert not merge_volume(store, dev, volume).is_published
    assert names(merge_change(store, dev, volume, "b")) == ["b"]
    assert read_file(store, volume, "a") == b"data, later"
    everything = MergeOptions(since=get_version(store.refs, dev, "1"))
    (conflict,) = merge_volume(store, dev, volume, everything).conflicts
    assert conflict == ((b"a",), "modified", "modified")
    assert read_file(store, volume, "a") == b"dev"


def test_who_wins(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    publish_files(store, dev, {"a": b"dev", "b": None, "only": b"dev"})
    publish_files(store, volume, {"a": b"data", "b": b"data"})
    with pytest.raises(OverriddenError, match=r"dev and data both changed a, b; nothing was"):
        merge_volume(store, dev, volume, MergeOptions(on_conflict="fail"))
    dry = merge_volume(store, dev, volume, MergeOptions(dry_run=True))
    assert dry.conflicts == [((b"a",), "modified", "modified"), ((b"b",), "removed", "modified")]
    assert store.refs.get_head(volume.id).version == 2
    assert store.refs.list_tags(dev.id) == []
    kept = merge_volume(store, dev, volume, MergeOptions(on_conflict="keep"))
    assert kept.conflicts == dry.conflicts
    assert names(kept) == ["only"]
    assert [read_file(store, volume, name) for name in "ab"] == [b"data", b"data"]
    # It was decided. The other way round, the volume's changes now reach the fork.
    back = merge_volume(store, volume, dev)
    assert (names(back), back.conflicts) == (["a", "b"], [])
    assert not merge_volume(store, dev, volume).is_published


def test_a_removed_directory(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    publish_files(store, volume, {"d": None})
    publish_files(store, dev, {"d/f": b"dev"})
    collect_garbage(store, grace=0)
    merge_volume(store, dev, volume)
    assert list_paths(store, volume) == ["a", "b", "d/", "d/f"]


@pytest.mark.parametrize("seed", range(6))
def test_merges_in_any_order_lose_and_repeat_nothing(store: Store, seed: int) -> None:
    """Each volume changes files of its own. So no merge may meet a conflict, whatever was merged
    before, in which direction, and which of the three records of it are left."""
    chance = random.Random(seed)
    data = create_volume(store, "data", chunk_bits=16)
    publish_files(store, data, {"data0": b"0", "dev0": b"0"})
    both = {"data": data, "dev": fork(store, data)}
    own: dict[str, dict[str, bytes]] = {"data": {"data0": b"0"}, "dev": {"dev0": b"0"}}
    seen = {"data": dict(own["dev"]), "dev": dict(own["data"])}
    last = "dev"
    """The volume whose changes were merged last."""
    for step in range(30):
        one, other = chance.sample(["data", "dev"], 2)
        match chance.randrange(5):
            case 0 | 1:
                name, text = f"{one}{chance.randrange(4)}", b"%d" % step
                publish_files(store, both[one], {name: text})
                own[one][name] = text
            case 2 if len(own[one]) > 1:
                name = chance.choice(sorted(own[one]))
                publish_files(store, both[one], {name: None})
                del own[one][name]
            case 3:
                brought = merge_volume(store, both[one], both[other])
                assert brought.conflicts == []
                seen[other] = dict(own[one])
                last = one
            case 4:
                # The base of a merge after one into the fork is a version of the other volume,
                # which no tag keeps.
                gone = one if last == "dev" else "dev"
                expire_versions(store, both[gone], KeepRules(last=1))
        for name in both:
            files = {
                path: read_file(store, both[name], path) for path in list_paths(store, both[name])
            }
            assert files == own[name] | seen[name]


def test_records_that_are_left_of_a_merge(
    store: Store, volume: VolumeRecord, dev: VolumeRecord
) -> None:
    merge_change(store, dev, volume, "a")
    publish_files(store, volume, {"a": b"data"})
    expire_versions(store, volume, KeepRules(last=1))  # the note goes, and the tag is left
    assert not merge_volume(store, dev, volume).is_published
    merge_change(store, dev, volume, "b")
    publish_files(store, volume, {"b": b"data"})
    for tag in store.refs.list_tags(dev.id):
        store.refs.delete_tag(dev.id, tag.name)  # the tag goes, and the note is left
    assert not merge_volume(store, dev, volume).is_published


def test_versions_that_were_expired(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    publish_files(store, dev, {"a": b"dev"})
    expire_versions(store, dev, KeepRules(last=1))
    assert merge_volume(store, dev, volume, MergeOptions(dry_run=True)).since.volume == volume
    publish_files(store, volume, {"c": b"data"})
    expire_versions(store, volume, KeepRules(last=1))
    with pytest.raises(NotFoundError, match=r"dev: version 1, after which .* was expired; name"):
        merge_volume(store, dev, volume)
    since = MergeOptions(since=get_version(store.refs, dev, "head"))
    assert not merge_volume(store, dev, volume, since).is_published


def test_other_targets(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    inner = fork(store, dev, "inner")
    publish_files(store, dev, {"a": b"dev"})
    publish_files(store, inner, {"b": noise(100_000, seed=2)})
    assert names(merge_volume(store, inner, volume)) == ["b"]  # what it changed itself
    assert names(merge_volume(store, inner, get_merge_target(store, inner))) == ["b"]
    assert names(merge_volume(store, dev, volume)) == ["a"]
    rename_volume(store, "data", "renamed")
    assert get_merge_target(store, dev).name == "renamed"
    publish_files(store, dev, {"x": b"1"})
    delete_volume(store, "renamed")
    with pytest.raises(NotFoundError, match="not in this store any more; name another"):
        get_merge_target(store, dev)
    other = create_volume(store, "other", chunk_bits=20, profile=1)
    with pytest.raises(InvalidError, match="other: nothing tells from which version"):
        merge_volume(store, other, dev)
    assert names(merge_volume(store, dev, other)) == ["a", "b", "x"]
    with pytest.raises(NotFoundError, match="other: nothing tells that it is a fork"):
        get_merge_target(store, other)
    with pytest.raises(InvalidError, match="merged into itself"):
        merge_volume(store, dev, dev)
    with pytest.raises(InvalidError, match="message of 70000"):
        merge_volume(store, dev, other, MergeOptions(message="m" * 70_000))


def test_others_publish_meanwhile(store: Store, volume: VolumeRecord, dev: VolumeRecord) -> None:
    publish_files(store, dev, {"a": b"dev"})
    between = Interloper(store, {"c": b"1"}, {"a": b"data"})
    brought = merge_volume(between, dev, volume)  # type: ignore[arg-type]
    assert between.attempts == 3
    assert brought.conflicts == [((b"a",), "modified", "modified")]
    assert read_file(store, volume, "a") == b"dev"
    publish_files(store, dev, {"b": b"dev"})
    merge_volume(LostAnswer(store), dev, volume)  # type: ignore[arg-type]
    assert len([v for v in iter_history(store, volume) if v.message.startswith("merge dev")]) == 2


def test_a_limit(
    store: Store, volume: VolumeRecord, dev: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_files(store, dev, {"d/x": b"1", "d/y": b"1"})
    publish_files(store, volume, {"d/z": b"1"})
    small = get_profile(volume.profile)
    monkeypatch.setattr("volfs.volume.merging.get_profile", lambda _: small._replace(max_entries=2))
    with pytest.raises(LimitError, match="d"):
        merge_volume(store, dev, volume)
    assert store.refs.get_head(volume.id).version == 2


def test_in_a_bucket(
    seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There each volume has packs of its own, so what is merged is copied."""
    for name, value in secret_of(seaweed).items():
        monkeypatch.setenv(name, value)
    bucket = create_s3_bucket(seaweed)
    store = open_store(
        f"s3://{bucket}/x/?endpoint={seaweed.endpoint}&region=us-east-1", create=True
    )
    try:
        data = create_volume(store, "data", chunk_bits=16)
        publish_files(store, data, {"a": b"1", "d/e": noise(200_000)})
        dev = fork(store, data)
        big = noise(500_000, seed=1)
        publish_files(store, dev, {"d/big": big, "a": None})
        publish_files(store, data, {"c": b"data", "d/e": None})
        assert names(merge_volume(store, dev, data)) == ["a", "d/big"]
        assert not merge_volume(store, dev, data).is_published
        publish_files(store, data, {"d/big": b"data"})
        publish_files(store, dev, {"later": noise(100_000, seed=3)})
        assert names(merge_volume(store, data, dev)) == ["c", "d/big", "d/e"]
        assert names(merge_volume(store, dev, data)) == ["later"]
        restore_version(store, data, get_version(store.refs, data, "3"))
        delete_volume(store, "dev")
        collect_garbage(store, grace=0)
        assert read_file(store, data, "d/big") == big
        assert check_store(store).is_clean
    finally:
        store.close()


def test_the_note_of_a_message() -> None:
    note = MergeNote("vo-abcDEF123", 7)
    for text in ("", "one", "two\n\nlines\n", "Merged: vo-x@3"):
        assert split_merge_note(add_merge_note(text, note)) == (text, note)
    for text in (
        "Merged: everything",
        "said Merged: vo-x@1",
        "Merged: vo-x@01",
        "Merged: vo-x@1\n",
    ):
        assert split_merge_note(text) == (text, None)
