"""A lease that cannot be read: gc and expiry refuse to work until it is mended; nothing is lost."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.harness.damage import spoil_rows
from tests.harness.mounted import Mounted, Mounts
from tests.volume.shortcuts import noise, publish_files
from volfs.daemon.sessions.discard import discard_overlay
from volfs.daemon.sessions.mend import make_missing_leases, mend_leases
from volfs.errors import DamagedObjectError
from volfs.model.retention import KeepRules
from volfs.sessions.facts import SessionFacts, encode_facts
from volfs.store.contract.lease import Lease
from volfs.volume.check import check_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.recovery import rebuild_store

pytestmark = pytest.mark.fuse
CONTENT = noise(300_000)


def write(path: Path, data: bytes) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def collect(mounts: Mounts) -> None:
    expire_versions(mounts.store, mounts.volume, KeepRules(last=1))
    collect_garbage(mounts.store, grace=0)


def spoil(mounts: Mounts) -> str:
    """Damage the one lease that there is, and see that nothing is removed; whose it is."""
    (lease,) = mounts.store.leases.list_all()
    assert spoil_rows(mounts.store, b"leases") == 1
    for refused in (collect, lambda mounts: mounts.store.leases.list_all()):
        with pytest.raises(DamagedObjectError, match="check --repair"):
            refused(mounts)
    found = [item.where for item in check_store(mounts.store).damage]
    assert f"lease of {lease.session}" in found
    return lease.session


def mend(mounts: Mounts) -> list[tuple[str, str]]:
    """Mend, and see that there is nothing left to do."""
    mended = mend_leases(mounts.store)
    if all(item.outcome != "left" for item in mended):
        assert mend_leases(mounts.store) == []
        assert check_store(mounts.store).is_clean
    return [(item.session, item.outcome) for item in mended]


def leave_behind(mounts: Mounts, **options: object) -> Mounted:
    """An overlay whose files lie on versions and trees that nothing else has any more."""
    publish_files(mounts.store, mounts.volume, {"old": CONTENT, "d/kept": noise(70_000, 1)})
    mounted = mounts.mount(**options)
    write(mounted.path / "old", b"changed")
    # Merged with this, what it goes on showing is in no version.
    publish_files(mounts.store, mounts.volume, {"d": None})
    mounted.commit()
    write(mounted.path / "old", b"again..")
    write(mounted.path / "new", b"new")
    os.rename(mounted.path / "d" / "kept", mounted.path / "moved")
    kill(mounted)
    publish_files(mounts.store, mounts.volume, {"old": None})
    publish_files(mounts.store, mounts.volume, {"theirs": b"x"})
    return mounted


def kill(mounted: Mounted) -> None:
    """After everything in it was recorded."""
    descriptor = os.open(mounted.path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()


def check_taken_over(mounts: Mounts, mounted: Mounted) -> None:
    again = mounts.mount(mounted.path)
    assert (again.path / "old").read_bytes() == b"again.." + CONTENT[7:]
    assert (again.path / "moved").read_bytes() == noise(70_000, 1)
    assert (again.path / "new").read_bytes() == b"new"
    again.unmount()
    collect(mounts)
    assert check_store(mounts.store).is_clean


def test_of_what_a_dead_mount_left(mounts: Mounts) -> None:
    mounts.expect("overrides theirs")
    mounted = leave_behind(mounts)
    session = spoil(mounts)
    assert mend(mounts) == [(session, "made again")]
    collect(mounts)
    check_taken_over(mounts, mounted)


def test_of_a_file_that_lies_on_a_view_before(mounts: Mounts) -> None:
    publish_files(mounts.store, mounts.volume, {"old": CONTENT})
    mounted = mounts.mount()
    write(mounted.path / "old", b"changed")
    publish_files(mounts.store, mounts.volume, {"old": b"theirs"})
    mounted.reload()
    kill(mounted)
    session = spoil(mounts)
    assert mend(mounts) == [(session, "made again")]
    collect(mounts)
    mounts.expect("overrides theirs")
    again = mounts.mount(mounted.path)
    assert (again.path / "old").read_bytes() == b"changed" + CONTENT[7:]
    again.unmount()


def test_after_the_index_was_lost(mounts: Mounts) -> None:
    mounts.expect("overrides theirs")
    mounted = leave_behind(mounts)
    url = mounts.store.url
    mounts.close_store()
    shutil.rmtree(Path(url) / "index")
    rebuild_store(url)
    assert mounts.store.leases.list_all() == []
    assert [item.outcome for item in make_missing_leases(mounts.store)] == ["made again"]
    assert make_missing_leases(mounts.store) == []
    collect(mounts)
    check_taken_over(mounts, mounted)


def test_of_an_overlay_that_is_damaged_too(mounts: Mounts) -> None:
    leave_behind(mounts)
    session = spoil(mounts)
    catalog = mounts.directory / "store" / "mounts" / session / "catalog" / "data.mdb"
    with catalog.open("r+b") as file:
        file.truncate(100)
    assert mend(mounts) == [(session, "left")]
    discard_overlay(mounts.store, session)
    assert mend(mounts) == []
    collect(mounts)


def test_of_a_mount_that_left_nothing(mounts: Mounts) -> None:
    mounted = mounts.mount()
    mounted.kill()
    session = spoil(mounts)
    assert mend(mounts) == [(session, "dropped")]
    collect(mounts)
    mounts.mount(mounted.path).unmount()


def test_of_a_session_that_is_gone(mounts: Mounts) -> None:
    leave_behind(mounts)
    session = spoil(mounts)
    shutil.rmtree(mounts.directory / "store" / "mounts" / session)
    assert mend(mounts) == [(session, "dropped")]
    collect(mounts)
    assert mounts.store.leases.list_all() == []


def test_of_a_living_mount(mounts: Mounts) -> None:
    """It alone knows what it needs, and is asked."""
    publish_files(mounts.store, mounts.volume, {"old": CONTENT})
    mounted = mounts.mount()
    (before,) = mounts.store.leases.list_all()
    session = spoil(mounts)
    assert mend(mounts) == [(session, "made again")]
    assert mounts.store.leases.list_all() == [before]
    publish_files(mounts.store, mounts.volume, {"old": None})
    collect(mounts)
    assert (mounted.path / "old").read_bytes() == CONTENT
    mounted.unmount()


def test_of_a_living_mount_that_cannot_be_asked(mounts: Mounts) -> None:
    """One in another namespace of mounts, say."""
    path = mounts.directory / "store" / "mounts" / "data-1"
    path.mkdir(parents=True)
    facts = SessionFacts(mounts.volume.id, "data", "/somewhere/else", os.getpid())
    (path / "session.json").write_bytes(encode_facts(facts))
    mounts.store.leases.put(Lease("data-1", mounts.volume.id, (0,)))
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert spoil(mounts) == "data-1"
        assert mend(mounts) == [("data-1", "left")]
    assert mend(mounts) == [("data-1", "dropped")]
    shutil.rmtree(path)


def test_of_a_living_read_only_mount(mounts: Mounts) -> None:
    for number in range(3):
        publish_files(mounts.store, mounts.volume, {"old": noise(300_000, number)})
    mounted = mounts.mount(at="2")
    session = spoil(mounts)
    assert mend(mounts) == [(session, "made again")]
    publish_files(mounts.store, mounts.volume, {"old": None})
    collect(mounts)
    assert (mounted.path / "old").read_bytes() == noise(300_000, 1)
    mounted.unmount()
    assert mounts.store.leases.list_all() == []


def test_of_nobody_that_can_be_told(mounts: Mounts) -> None:
    """gc goes on refusing to work; a rebuilt index has no such rows."""
    lease = Lease("/somewhere/else/data-1", mounts.volume.id, (0,))
    mounts.store.leases.put(lease)
    spoil_rows(mounts.store, b"leases", at=1)
    assert mend(mounts) == [("", "left")]
    with pytest.raises(DamagedObjectError):
        collect(mounts)
    mounts.store.leases.drop(lease.session)
