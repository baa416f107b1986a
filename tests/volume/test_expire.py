"""Expiry: what goes, and what stays whatever the rules say."""

from __future__ import annotations

import fcntl

import pytest

from tests.volume.shortcuts import publish_files, read_file
from volfs.errors import UserError
from volfs.model.retention import KeepRules
from volfs.sessions.facts import SessionFacts, encode_facts
from volfs.sessions.places import sessions_directory
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume import expire
from volfs.volume.commit import CommitNote
from volfs.volume.expire import expire_versions, judge_versions
from volfs.volume.history import create_tag, get_version, iter_history
from volfs.volume.leases import keep_version, new_lease


@pytest.fixture
def long(store: Store, volume: VolumeRecord) -> VolumeRecord:
    """Versions 1 to 6."""
    for number in range(1, 7):
        publish_files(store, volume, {f"f{number}": b"%d" % number})
    return volume


def left(store: Store, volume: VolumeRecord) -> list[int]:
    return [info.version for info in iter_history(store, volume)]


def begin(store: Store, volume: VolumeRecord, version: str) -> Lease:
    """As a mount does that was begun and not ended."""
    (sessions_directory(store) / "s").mkdir(parents=True)
    return keep_version(
        store.leases,
        new_lease(store.leases, "s", volume.id),
        lambda: get_version(store.refs, volume, version),
    )[1]


def test_what_no_rule_keeps_goes(store: Store, long: VolumeRecord) -> None:
    verdicts, removed = expire_versions(store, long, KeepRules(last=2))
    assert removed == [1, 2, 3, 4]
    assert left(store, long) == [6, 5]
    assert [verdict.reasons for verdict in verdicts] == [("last", "head"), ("last",), *[()] * 4]
    assert read_file(store, long, "f1") == b"1"
    assert store.refs.find_version(long.id, 0) is not None


def test_the_newest_the_tagged_and_the_mounted_stay(store: Store, long: VolumeRecord) -> None:
    create_tag(store.refs, long, "v1", get_version(store.refs, long, "2"))
    begin(store, long, "4")
    verdicts, removed = expire_versions(store, long, KeepRules(tagged=True))
    assert removed == [1, 3, 5]
    assert {verdict.info.version: verdict.reasons for verdict in verdicts if verdict.is_kept} == {
        6: ("head",),
        4: ("mounted",),
        2: ("tag v1",),
    }


def test_judging_removes_nothing(store: Store, long: VolumeRecord) -> None:
    verdicts = judge_versions(store, long, KeepRules(last=1))
    assert [verdict.is_kept for verdict in verdicts] == [True, *[False] * 5]
    assert left(store, long) == [6, 5, 4, 3, 2, 1]


def test_without_a_rule_nothing_is_removed(store: Store, long: VolumeRecord) -> None:
    with pytest.raises(UserError, match="--keep-last"):
        expire_versions(store, long, KeepRules())
    assert len(left(store, long)) == 6


def test_mounts_that_are_gone_keep_nothing(store: Store, long: VolumeRecord) -> None:
    begin(store, long, "3")
    (sessions_directory(store) / "s").rmdir()
    _, removed = expire_versions(store, long, KeepRules(last=1))
    assert 3 in removed


def test_other_volumes_are_left_alone(store: Store, long: VolumeRecord) -> None:
    from volfs.volume.volumes import create_volume

    other = create_volume(store, "other")
    for number in range(3):
        publish_files(store, other, {"f": b"%d" % number})
    create_tag(store.refs, other, "v", get_version(store.refs, other, "1"))
    expire_versions(store, long, KeepRules(last=1))
    assert left(store, other) == [3, 2, 1]
    assert left(store, long) == [6]


def test_expiring_twice(store: Store, long: VolumeRecord) -> None:
    expire_versions(store, long, KeepRules(last=2))
    assert expire_versions(store, long, KeepRules(last=2))[1] == []
    publish_files(store, long, {"g": b"1"})
    assert left(store, long) == [7, 6, 5]


def test_a_new_volume(store: Store, volume: VolumeRecord) -> None:
    assert expire_versions(store, volume, KeepRules(last=1)) == ([], [])
    assert store.refs.get_head(volume.id).version == 0


def test_a_mount_that_follows_keeps_what_is_newer(store: Store, long: VolumeRecord) -> None:
    (sessions_directory(store) / "s").mkdir(parents=True)
    keep_version(
        store.leases,
        new_lease(store.leases, "s", long.id, onward=True),
        lambda: get_version(store.refs, long, "4"),
    )
    _, removed = expire_versions(store, long, KeepRules(tagged=True))
    assert (removed, left(store, long)) == ([1, 2, 3], [6, 5, 4])


@pytest.mark.parametrize("alive", [True, False])
def test_a_dead_mount_follows_no_more(store: Store, long: VolumeRecord, alive: bool) -> None:
    session = sessions_directory(store) / "s"
    session.mkdir(parents=True)
    (session / "session.json").write_bytes(encode_facts(SessionFacts(long.id)))
    keep_version(
        store.leases,
        new_lease(store.leases, "s", long.id, onward=True),
        lambda: get_version(store.refs, long, "4"),
    )
    with (session / "lock").open("w") as lock:
        if alive:
            fcntl.flock(lock, fcntl.LOCK_EX)
        expire_versions(store, long, KeepRules(tagged=True))
        publish_files(store, long, {"f7": b"7"})
        publish_files(store, long, {"f8": b"8"})
        _, removed = expire_versions(store, long, KeepRules(tagged=True))
    assert removed == ([] if alive else [7])
    assert left(store, long) == ([8, 7, 6, 5, 4] if alive else [8, 6, 5, 4])


def test_old_versions_of_a_network_file_system(
    store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The automatic ones go; those of today but the last stay by no rule."""
    monkeypatch.setattr(expire, "THINNED", KeepRules(last=2))
    for number in range(6):
        publish_files(store, volume, {"f": b"%d" % number}, CommitNote(auto=number != 1))
    create_tag(store.refs, volume, "v", get_version(store.refs, volume, "4"))
    assert expire.thin_history(store, volume) == [1, 3]
    assert left(store, volume) == [6, 5, 4, 2]


def test_what_is_tagged_after_the_verdict_stays(store: Store, long: VolumeRecord) -> None:
    class Tagging:
        """Somebody tags a version right before it would be removed."""

        @property
        def refs(self) -> Tagging:
            return self

        def __getattr__(self, name: str) -> object:
            if name == "remove_versions":
                create_tag(store.refs, long, "v", get_version(store.refs, long, "2"))
            return getattr(store.refs if hasattr(store.refs, name) else store, name)

    _, removed = expire_versions(Tagging(), long, KeepRules(last=1))  # type: ignore[arg-type]
    assert removed == [1, 3, 4, 5]
    assert left(store, long) == [6, 2]
