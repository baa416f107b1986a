"""Overlays of killed mounts, written out: whole, without their base, and damaged."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from contextlib import suppress

import pytest

from tests.crash.children import Child, Say
from tests.harness.mounted import Mounts
from tests.harness.stranded import export, leave_without_base, read_changes, sync, write
from volfs.daemon.sessions.export import export_overlay
from volfs.errors import DamagedObjectError, LocalFileError, MountError, NotFoundError
from volfs.store.registry import open_store
from volfs.volume.volumes import delete_volume

pytestmark = [pytest.mark.fuse, pytest.mark.noisy("its index is older")]
NOBODY = 65534


def test_everything_that_was_written_is_there(mounts: Mounts) -> None:
    mounted = mounts.mount()
    base = os.urandom(300_000)
    write(mounted.path / "changed", base)
    write(mounted.path / "kept", b"kept")
    write(mounted.path / "gone", b"gone")
    (mounted.path / "moved").mkdir()
    write(mounted.path / "moved" / "in", b"inside")
    os.link(mounted.path / "changed", mounted.path / "twin")
    mounted.commit()
    mounted.reload()
    write(mounted.path / "changed", b"NEW", 100_000)
    write(mounted.path / "new", b"new")
    os.link(mounted.path / "new", mounted.path / "new-link")
    os.setxattr(mounted.path / "new", "user.x", b"\0y")
    os.chmod(mounted.path / "new", 0o640)
    os.chown(mounted.path / "new", 12, 34)
    os.utime(mounted.path / "new", ns=(5, 123_456_789_012_345_678))
    (mounted.path / "gone").unlink()
    os.rename(mounted.path / "moved", mounted.path / "moved here")
    os.symlink(b"to/\xff", os.fsencode(mounted.path) + b"/l\xff\nx")
    os.mkfifo(mounted.path / "fifo", 0o600)
    os.mkdir(mounted.path / "dir", 0o711)
    os.truncate(mounted.path / "kept", 1 << 30)
    sync(mounted.path)
    mounted.kill()
    result, output = export(mounts)
    assert result.is_whole, result
    files = output / "files"
    changed = base[:100_000] + b"NEW" + base[100_003:]
    assert (files / "changed").read_bytes() == changed
    assert (files / "twin").samefile(files / "changed")
    assert (files / "new").samefile(files / "new-link")
    status = (files / "new").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 12, 34)
    assert status.st_mtime_ns == 123_456_789_012_345_678
    assert os.getxattr(files / "new", "user.x") == b"\0y"
    assert (files / "moved here" / "in").read_bytes() == b"inside"
    assert os.readlink(os.fsencode(files) + b"/l\xff\nx") == b"to/\xff"
    assert stat.S_ISFIFO((files / "fifo").stat().st_mode)
    assert stat.S_IMODE((files / "dir").stat().st_mode) == 0o711
    kept = (files / "kept").stat()
    assert (kept.st_size, kept.st_blocks < 100) == (1 << 30, True)
    assert sorted((output / "deleted").read_bytes().split(b"\0")) == [b"", b"gone", b"moved"]
    changes = read_changes(output)
    assert changes["l\udcff\nx"]["path_hex"] == b"l\xff\nx".hex()
    assert changes["gone"]["change"] == "deleted"
    assert changes["kept"]["change"] == "modified"
    mounts.mount(mounted.path)  # nothing was changed by it


def test_without_its_base_what_is_missing_is_named(mounts: Mounts) -> None:
    _, session, old, _ = leave_without_base(mounts)
    before = {path: path.stat().st_mtime_ns for path in session.rglob("*")}
    result, output = export(mounts, session)
    assert {path: path.stat().st_mtime_ns for path in session.rglob("*")} == before
    files = output / "files"
    assert (files / "fresh").read_bytes() == b"fresh" * 10_000
    assert (files / "d" / "deep").read_bytes() == b"deep"
    assert (files / "old").read_bytes() == old[:70_000] + b"NEW" + old[70_003:]
    (incomplete,) = result.incomplete
    assert incomplete.path == b"lost"
    assert incomplete.missing == [(0, 70_000), (70_003, 200_000)]
    assert not (files / "lost").exists()
    data = (output / "incomplete" / "lost").read_bytes()
    assert (len(data), data[70_000:70_003], data.count(0)) == (200_000, b"NEW", 199_997)
    assert read_changes(output)["lost"]["missing"] == [[0, 70_000], [70_003, 200_000]]


def test_without_its_volume(mounts: Mounts) -> None:
    mounted, session, _, _ = leave_without_base(mounts)
    mounts.mounted.remove(mounted)
    os.system(f"umount -l {mounted.path}")
    for path in (mounts.store_path / "mounts").iterdir():
        shutil.rmtree(path)
    delete_volume(mounts.store, "data")
    result, output = export(mounts, session)
    assert (output / "files" / "fresh").read_bytes() == b"fresh" * 10_000
    assert {each.path for each in result.incomplete} <= {b"old", b"lost"}
    mounts.create()


def test_damage_costs_what_is_damaged(mounts: Mounts) -> None:
    mounted = mounts.mount()
    for number in range(50):
        write(mounted.path / f"f{number}", bytes([number]) * 20_000)
    sync(mounted.path)
    mounted.kill()
    (arena,) = (mounts.store_path / "mounts").glob("*/scratch/*.arena")
    with arena.open("r+b") as file:
        file.seek(100_000)
        file.write(b"!")
    result, output = export(mounts)
    (damaged,) = result.incomplete
    ((start, end),) = damaged.missing
    assert 0 < end - start <= 4096
    assert len(list((output / "files").iterdir())) == 49
    mounts.mount(mounted.path).unmount(discard=True)


def test_damaged_records_cost_what_they_say(mounts: Mounts) -> None:
    """Each page of the catalog in turn."""
    mounted = mounts.mount()
    for number in range(120):
        write(mounted.path / f"f{number}", bytes([number % 256]) * 8_000)
    sync(mounted.path)
    mounted.kill()
    session = mounts.store_path / "mounts" / mounts.sessions[0]
    size = (session / "catalog/data.mdb").stat().st_size
    losses, ways_in = 0, 0
    for at in range(0, size, 4096):
        copy = mounts.directory / "copy" / session.name
        shutil.copytree(session, copy)
        with (copy / "catalog/data.mdb").open("r+b") as file:
            file.seek(at + 50)
            file.write(random.Random(at).randbytes(200))
        with suppress(DamagedObjectError):
            result, output = export(mounts, copy)
            ways_in += 1
            found = [path for path in (output / "files").iterdir() if path.is_file()]
            for path in found:
                assert path.read_bytes() == bytes([int(path.name[1:]) % 256]) * 8_000
            assert len(found) == 120 or not result.is_whole, at
            losses += not result.is_whole
        shutil.rmtree(copy)
    assert ways_in > size // 4096 - 3
    assert losses > 3
    mounts.mount(mounted.path).unmount(discard=True)


def test_what_is_refused(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    with pytest.raises(MountError, match="living"):
        export(mounts)
    mounted.kill()
    full = mounts.directory / "full"
    full.mkdir()
    (full / "mine").touch()
    with pytest.raises(LocalFileError, match="not empty"):
        export_overlay(mounts.store, mounts.sessions[0], str(full))
    export_overlay(mounts.store, mounts.sessions[0], str(full), force=True)
    assert sorted(os.listdir(full)) == ["changes.json", "deleted", "files", "mine"]
    with pytest.raises(LocalFileError, match="directory of the store itself"):
        export_overlay(mounts.store, mounts.sessions[0], str(mounts.store_path / "out"))
    other = mounts.directory / "other" / "mounts" / mounts.sessions[0]
    shutil.copytree(mounts.store_path / "mounts" / mounts.sessions[0], other)
    with pytest.raises(LocalFileError, match="among the sessions of a store"):
        export_overlay(mounts.store, str(other), str(other.parent / "out"))
    with pytest.raises(NotFoundError):
        export_overlay(mounts.store, str(full), str(mounts.directory / "o"))
    with pytest.raises(NotFoundError):
        export_overlay(mounts.store, "nobody", str(mounts.directory / "o"))
    os.chmod(full, 0o777)
    with pytest.raises(LocalFileError, match="others may write"):
        export_overlay(mounts.store, str(full), str(mounts.directory / "o"))


def test_no_link_leads_out_of_the_directory(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    write(mounted.path / "d" / "f", b"1")
    mounted.kill()
    output, away = mounts.directory / "output", mounts.directory / "away"
    away.mkdir()
    (output / "files").mkdir(parents=True)
    (output / "files" / "d").symlink_to(away)
    with pytest.raises(LocalFileError):
        export_overlay(mounts.store, mounts.sessions[0], str(output), force=True)
    assert os.listdir(away) == []


def test_a_user_who_may_not_give_files_away_gets_them_all(mounts: Mounts) -> None:
    """Neither owners nor devices, and no set-user-id in his own name: these are notes."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    os.chown(mounted.path / "f", 12, 34)
    os.chmod(mounted.path / "f", 0o4755)
    os.mknod(mounted.path / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    sync(mounted.path)
    mounted.kill()
    name = mounts.sessions[0]
    mounts.close_store()
    away, theirs = mounts.directory / "away", mounts.directory / "theirs"
    shutil.copytree(mounts.store_path, away)
    theirs.mkdir()
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", away, theirs], check=True)
    for path in (theirs, *theirs.parents):
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o055)  # one may be /tmp

    def work(say: Say) -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        result = export_overlay(open_store(str(away)), name, str(theirs / "out"))
        say(result.notes, result.problems)

    ((notes, problems),) = Child(work).end()
    assert any("files/f: its owner could not be kept" in note for note in notes)
    assert any("device: Operation not permitted" in problem for problem in problems)
    status = (theirs / "out" / "files" / "f").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY, 0o755)
    mounts.mount(mounted.path).unmount(discard=True)


def test_where_no_hard_link_can_be_there_is_a_copy(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    write(mounted.path / "a", b"bytes")
    os.link(mounted.path / "a", mounted.path / "d" / "b")
    sync(mounted.path)
    mounted.kill()
    output = mounts.directory / "output"
    (output / "files" / "d").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", output / "files" / "d"], check=True)
    try:
        result = export_overlay(mounts.store, mounts.sessions[0], str(output), force=True)
        assert result.is_whole, result
        assert any("a copy instead of a hard link" in note for note in result.notes)
        for name in ("a", "d/b"):
            assert (output / "files" / name).read_bytes() == b"bytes"
    finally:
        subprocess.run(["umount", output / "files" / "d"], check=True)
    mounts.mount(mounted.path).unmount(discard=True)


def test_a_full_disk_ends_it(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "a", os.urandom(3 << 20))
    write(mounted.path / "b", b"small")
    mounted.kill()
    disk = mounts.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    try:
        with pytest.raises(LocalFileError, match="No space left"):
            export_overlay(mounts.store, mounts.sessions[0], str(disk / "out"))
        assert not (disk / "out" / "changes.json").exists()
        assert os.listdir(disk / "out" / "files") == []
    finally:
        subprocess.run(["umount", disk], check=True)
    mounts.mount(mounted.path).unmount(discard=True)
