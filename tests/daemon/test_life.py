"""A mount from its beginning to its end, and to the end that it did not expect."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounted, Mounts, is_running, wait_until
from volfs.control.mounts import find_mount_point
from volfs.daemon.launch import check_options
from volfs.errors import MountError, NotAStoreError, NotFoundError, UserError, VolfsError

pytestmark = pytest.mark.fuse


def test_the_mount_answers_when_mount_returns(mounts: Mounts) -> None:
    mounted = mounts.mount()
    assert os.path.ismount(mounted.path)
    status = mounted.status()
    assert (status.volume, status.mountpoint, status.version) == ("data", str(mounted.path), 0)
    assert (status.read_only, status.auto_commit, status.open_files) == (False, None, 0)
    options = Path("/proc/self/mounts").read_text()
    (line,) = [line for line in options.splitlines() if f" {mounted.path} " in line]
    assert line.startswith(f"data {mounted.path} fuse.volfs rw,nosuid,nodev,")
    assert "default_permissions" in line
    assert "allow_other" not in line


def test_the_daemon_keeps_nothing_of_who_started_it(mounts: Mounts) -> None:
    mounted = mounts.mount()
    assert os.readlink(f"/proc/{mounted.pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{mounted.pid}/fd/{n}") for n in range(3)} == {"/dev/null"}
    assert os.getsid(mounted.pid) == mounted.pid


def test_in_the_foreground_the_process_is_the_daemon(mounts: Mounts) -> None:
    mounted = mounts.mount(foreground=True)
    assert mounted.process is not None
    assert mounted.process.pid == mounted.pid
    (mounted.path / "f").touch()
    mounted.unmount()
    assert mounted.process.returncode == 0
    assert mounts.version == 1


def check_nothing_is_left(mounts: Mounts, place: Path) -> None:
    assert mounts.sessions == []
    assert find_mount_point(str(place)) is None
    assert not mounts.runtime.exists() or os.listdir(mounts.runtime) == []


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"volume": "nobody"}, NotFoundError, "nobody"),
        ({"volume": "a/b"}, UserError, "invalid volume name"),
        ({"at": "9"}, NotFoundError, "no version 9"),
        ({"sub_path": "no", "read_only": True}, NotFoundError, "no: no such directory"),
        ({"log_level": "loud"}, UserError, "loud"),
        ({"log": "/proc/nowhere/log"}, UserError, "log to"),
        ({"sub_path": "../x"}, UserError, "cannot be a name"),
    ],
)
def test_what_cannot_be_mounted_says_why(
    mounts: Mounts, changes: dict[str, object], kind: type[VolfsError], text: str
) -> None:
    place = mounts.place()
    with pytest.raises(kind, match=text):
        mounts.mount(place, **changes)
    check_nothing_is_left(mounts, place)


def test_places_that_cannot_be_mounted_on(mounts: Mounts) -> None:
    full = mounts.place("full")
    (full / "x").touch()
    with pytest.raises(MountError, match="not empty"):
        mounts.mount(full)
    with pytest.raises(MountError, match="no such directory"):
        mounts.mount(mounts.directory / "missing")
    with pytest.raises(MountError, match="not a directory"):
        mounts.mount(full / "x")
    mounted = mounts.mount(full, nonempty=True)
    with pytest.raises(MountError, match="already mounted"):
        mounts.mount(full)
    assert os.listdir(full) == []
    mounted.unmount()
    assert os.listdir(full) == ["x"]
    assert mounts.sessions == []


def test_stores_that_are_none(mounts: Mounts, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises((NotAStoreError, NotFoundError)):
        mounts.mount(store=str(tmp_path / "other"))
    with pytest.raises((NotAStoreError, NotFoundError)):
        mounts.mount(store=str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()
    with pytest.raises(MountError, match="lie in each other"):
        mounts.mount(mounts.store_path, nonempty=True)


PLACE_GOES = """
import os
from volfs.daemon import launch

start_daemon = launch.start_daemon

def start_too_late(options):
    os.rmdir(options.mountpoint)
    return start_daemon(options)

launch.start_daemon = start_too_late
"""


def test_a_place_that_goes_before_it_is_mounted_on_leaves_no_session(mounts: Mounts) -> None:
    """As an interrupt does to a container that is starting."""
    place = mounts.place()
    with pytest.raises(MountError):
        mounts.mount(place, prelude=PLACE_GOES)
    check_nothing_is_left(mounts, place)


def test_a_failure_between_mounting_and_answering_leaves_no_dead_mount(mounts: Mounts) -> None:
    mounts.runtime.write_text("in the way")
    place = mounts.place()
    with pytest.raises(MountError):
        mounts.mount(place)
    wait_until(lambda: find_mount_point(str(place)) is None, "the mount to go")
    mounts.runtime.unlink()
    check_nothing_is_left(mounts, place)


def test_two_daemons_for_one_place_at_once(mounts: Mounts) -> None:
    place, problems = mounts.place(), []

    def mount() -> None:
        try:
            mounts.mount(place)
        except MountError as error:
            problems.append(error)

    threads = [threading.Thread(target=mount) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(problems) == 2
    assert len(mounts.mounted) == 1
    (place / "f").touch()
    mounts.mounted[0].unmount()
    assert mounts.version == 1
    check_nothing_is_left(mounts, place)


# --- the end ------------------------------------------------------------------


def umount(mounted: Mounted) -> None:
    subprocess.run(["umount", mounted.path], check=True)


def fusermount(mounted: Mounted) -> None:
    subprocess.run(["fusermount3", "-u", mounted.path], check=True)


def send(number: int) -> Callable[[Mounted], None]:
    return lambda mounted: mounted.signal(number)


ENDS = {
    "volfs umount": lambda mounted: mounted.unmount(),
    "umount": umount,
    "fusermount3 -u": fusermount,
    "SIGTERM": send(signal.SIGTERM),
    "SIGINT": send(signal.SIGINT),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_every_end_is_a_commit(mounts: Mounts, end: Callable[[Mounted], None]) -> None:
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    (mounted.path / "d" / "f").write_bytes(b"x" * 100_000)
    end(mounted)
    mounted.wait_for_end()
    assert mounts.version == 1
    check_nothing_is_left(mounts, mounted.path)
    again = mounts.mount(mounted.path)
    assert (again.path / "d" / "f").read_bytes() == b"x" * 100_000
    end(again)
    again.wait_for_end()
    assert mounts.version == 1, "nothing changed: no new version"


def test_discard_drops_the_overlay(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    mounted.unmount(discard=True)
    assert mounts.version == 0
    check_nothing_is_left(mounts, mounted.path)


def test_a_busy_mount_is_not_unmounted_and_says_who(mounts: Mounts) -> None:
    mounted = mounts.mount()
    with (mounted.path / "f").open("w") as file:
        with pytest.raises(MountError, match=r"busy: path f is open from .*\(pid "):
            mounted.unmount()
        file.write("still here")
    assert (mounted.path / "f").read_text() == "still here"
    mounted.unmount()
    assert mounts.version == 2


def test_a_signal_ends_even_a_busy_mount(mounts: Mounts) -> None:
    mounted = mounts.mount()
    descriptor = os.open(mounted.path / "f", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"written")
    mounted.signal(signal.SIGTERM)
    mounted.wait_for_end()
    with fails(errno.ENOTCONN):
        os.write(descriptor, b"too late")
    with contextlib.suppress(OSError):
        os.close(descriptor)
    assert mounts.version == 1
    check_nothing_is_left(mounts, mounted.path)


# --- death ----------------------------------------------------------------------


def test_what_was_fsynced_survives_kill(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "committed").write_text("old")
    mounted.commit()
    (mounted.path / "d").mkdir()
    for name in ("d/f", "committed"):
        with (mounted.path / name).open("wb") as file:
            file.write(b"x" * 300_000)
            file.flush()
            os.fsync(file.fileno())
    os.symlink("d", mounted.path / "link")
    os.link(mounted.path / "d" / "f", mounted.path / "hard")
    descriptor = os.open(mounted.path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    with fails(errno.ENOTCONN):  # the dead mount is still there
        os.listdir(mounted.path)
    assert len(mounts.sessions) == 1
    again = mounts.mount(mounted.path)
    assert sorted(os.listdir(again.path)) == ["committed", "d", "hard", "link"]
    for name in ("d/f", "committed", "hard"):
        assert (again.path / name).read_bytes() == b"x" * 300_000
    assert (again.path / "hard").stat().st_nlink == 2
    assert mounts.version == 1
    again.unmount()
    assert mounts.version == 2
    check_nothing_is_left(mounts, mounted.path)


def test_a_deep_overlay_is_taken_over(mounts: Mounts) -> None:
    """Deeper than Python calls itself."""
    mounted = mounts.mount()
    descriptor = os.open(mounted.path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.mknod("bottom", dir_fd=descriptor)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    again = mounts.mount(mounted.path)
    again.commit()
    other = mounts.mount()
    assert os.path.exists(other.path / ("d/" * 1500) / "bottom")
    (again.path / "d" / "new").touch()
    again.commit()
    other.reload()
    again.unmount()


def test_an_overlay_is_only_taken_over_by_what_it_lies_on(mounts: Mounts) -> None:
    """Neither a read-only mount nor one of another directory may touch it."""
    mounted = mounts.mount(sub_path="sub")
    (mounted.path / "f").write_text("kept")
    descriptor = os.open(mounted.path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    for changes in ({"read_only": True, "sub_path": "sub"}, {}):
        other = mounts.mount(mounted.path, **changes)
        assert os.listdir(other.path) == ([] if changes else ["sub"])
        other.unmount()
    again = mounts.mount(mounted.path, sub_path="sub")
    assert (again.path / "f").read_text() == "kept"
    again.unmount()
    whole = mounts.mount()
    assert (whole.path / "sub" / "f").read_text() == "kept"


def test_a_dead_mount_is_listed_and_unmounting_it_says_so(mounts: Mounts) -> None:
    from volfs.control.mount_client import get_mount

    mounted = mounts.mount()
    mounted.kill()
    with pytest.raises(MountError, match="does not answer"):
        get_mount(str(mounted.path)).status()
    mounts.mount(mounted.path).unmount()
    assert not is_running(mounted.pid)


def test_a_mount_that_cannot_reach_its_store_is_not_taken_for_dead(mounts: Mounts) -> None:
    """It answers, if only with errors; its uncommitted work would be cut off."""
    mounts.expect("statfs ")
    mounted = mounts.mount()
    (mounted.path / "f").write_text("kept")
    mounts.close_store()
    away = mounts.store_path.rename(mounts.directory / "away")
    try:
        with pytest.raises(MountError, match="already mounted"):
            check_options(mounted.options)
    finally:
        away.rename(mounts.store_path)
    assert mounted.is_mounted
    assert mounted.commit().version == 1


# --- logs ---------------------------------------------------------------------


def test_the_log_goes_where_it_is_told(mounts: Mounts, tmp_path: Path) -> None:
    mounted = mounts.mount(log=str(tmp_path / "deep" / "my.log"))
    (mounted.path / "f").touch()
    mounted.unmount()
    text = (tmp_path / "deep" / "my.log").read_text()
    assert "INFO volfs.daemon.mount_control: committed version 1: " in text
    assert text.splitlines()[-1].endswith("INFO volfs.daemon.main: ended")


def test_the_default_log_outlives_the_mount(mounts: Mounts) -> None:
    mounted = mounts.mount(log=None)
    mounted.unmount()
    assert "ended" in (mounts.store_path / "logs" / "data.log").read_text()


def test_a_pinned_mount_stays_where_it_is(mounts: Mounts) -> None:
    first = mounts.mount()
    for number in range(2):
        (first.path / f"{number}").touch()
        first.commit()
    pinned = mounts.mount(at="1")
    assert os.listdir(pinned.path) == ["0"]
    assert pinned.status().read_only
    with pytest.raises(MountError, match="pinned at version 1"):
        pinned.reload()
    assert os.listdir(pinned.path) == ["0"]
    read_only = mounts.mount(read_only=True)
    (first.path / "2").touch()
    first.commit()
    read_only.reload()
    assert sorted(os.listdir(read_only.path)) == ["0", "1", "2"]
