"""``reload --touch``: what arrives is as if it had been written now, and is a change of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from volfs.errors import MountError, VolumeBusyError

pytestmark = pytest.mark.fuse
OLD = 1_000_000_000
FAULT = """
from volfs.vfs import committer
plain = committer.touch_arrived
def touch_arrived(state, path, now):
    assert path != (b"fails",), "as if the store failed"
    return plain(state, path, now)
committer.touch_arrived = touch_arrived
"""


def write(path: Path, data: str = "1") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(data)
    os.utime(path, ns=(OLD, OLD))


def find_touched(mounted: Mounted, since: int) -> set[str]:
    found = set()
    for here, directories, files in os.walk(mounted.path):
        for name in [*directories, *files]:
            path = Path(here, name)
            if path.lstat().st_mtime_ns >= since:
                found.add(str(path.relative_to(mounted.path)))
    return found


def now(place: Path) -> int:
    """As the daemon's clock has it: a time that this mount gave."""
    (place / ".now").touch()
    return (place / ".now").stat().st_mtime_ns


def test_what_arrives_is_touched_and_nothing_else(mounts: Mounts) -> None:
    theirs, mounted = mounts.mount(), mounts.mount()
    names = ("same", "changed", "mode", "gone", "becomes", "ours", "touched", "d/same", "linked")
    for name in names:
        write(theirs.path / name)
    os.link(theirs.path / "linked", theirs.path / "again")
    os.symlink("same", theirs.path / "link")
    theirs.commit()
    mounted.reload()
    since = now(mounted.path)
    write(theirs.path / "changed", "2")
    (theirs.path / "mode").chmod(0o600)
    (theirs.path / "gone").unlink()
    (theirs.path / "becomes").unlink()
    (theirs.path / "becomes").symlink_to("same")
    write(theirs.path / "ours", "theirs")
    os.utime(theirs.path / "touched", ns=(OLD + 1, OLD + 1))
    write(theirs.path / "linked", "2")
    write(theirs.path / "new/deep")
    os.mkfifo(theirs.path / "fifo")
    (theirs.path / "link").unlink()
    (theirs.path / "link").symlink_to("changed")
    theirs.commit()
    write(mounted.path / "ours", "ours")
    (mounted.path / "same").stat()

    result = mounted.client.reload(touch=True)
    mounted.path.joinpath(".now").unlink()
    arrived = {"changed", "becomes", "touched", "linked", "again", "new/deep", "fifo", "link"}
    assert find_touched(mounted, since) - {"new", "d"} == arrived
    assert result.touched == len(arrived) - 1, "two names of one file are touched once"
    assert (mounted.path / "ours").read_text() == "ours"
    assert (mounted.path / "mode").stat().st_mode & 0o777 == 0o600

    assert mounted.status().dirty_files >= len(arrived) - 1
    mounted.commit()
    theirs.reload()
    assert find_touched(theirs, since) >= arrived
    assert mounted.client.reload(touch=True).touched == 0, "our own commit brings nothing"
    assert theirs.client.reload(touch=True).touched == 0
    assert theirs.client.reload().touched is None


def test_make_builds_again(mounts: Mounts) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    theirs, mounted = mounts.mount(), mounts.mount()
    write(theirs.path / "Makefile", "made: source\n\tcp source made\n")
    write(theirs.path / "source", "1")
    theirs.commit()
    mounted.reload()
    run = [make, "-s", "-C", str(mounted.path)]
    subprocess.run(run, check=True)
    write(theirs.path / "source", "2")
    theirs.commit()
    mounted.reload()
    subprocess.run(run, check=True)
    assert (mounted.path / "made").read_text() == "1", "it is older than what was made of it"
    write(theirs.path / "source", "3")
    theirs.commit()
    mounted.client.reload(touch=True)
    subprocess.run(run, check=True)
    assert (mounted.path / "made").read_text() == "3"


def test_below_a_sub_path_and_many(mounts: Mounts) -> None:
    theirs = mounts.mount()
    write(theirs.path / "d/first")
    theirs.commit()
    mounted = mounts.mount(sub_path="d")
    since = now(mounted.path)
    for number in range(300):
        write(theirs.path / f"d/{number}")
        write(theirs.path / f"else{number}")
    theirs.commit()
    assert mounted.client.reload(touch=True).touched == 300
    (mounted.path / ".now").unlink()
    assert find_touched(mounted, since) == {str(number) for number in range(300)}


def test_where_it_is_refused_nothing_is_reloaded(mounts: Mounts) -> None:
    theirs = mounts.mount()
    mounts.create("net", network=True)
    net, fixed = mounts.mount(volume="net"), mounts.mount(read_only=True)
    write(theirs.path / "f")
    theirs.commit()
    with pytest.raises(MountError, match="nothing to touch: the mount is read-only"):
        fixed.client.reload(touch=True)
    assert fixed.status().version == 0
    with pytest.raises(MountError, match="nothing to touch: the mount is a network file system"):
        net.client.reload(touch=True)
    busy = mounts.mount()
    write(theirs.path / "f", "2")
    theirs.commit()
    with (busy.path / "f").open(), pytest.raises(VolumeBusyError):
        busy.client.reload(touch=True)
    assert (busy.path / "f").stat().st_mtime_ns == OLD


def test_where_touching_fails_the_reload_is_whole(mounts: Mounts) -> None:
    theirs, mounted = mounts.mount(), mounts.mount(prelude=FAULT)
    for name in ("a", "fails", "z"):
        write(theirs.path / name)
    theirs.commit()
    mounted.reload()
    before = {name: (mounted.path / name).stat().st_ino for name in ("a", "fails", "z")}
    for name in before:
        write(theirs.path / name, "2")
    theirs.commit()
    mounts.expect("as if the store failed", "Traceback", "reload")
    with pytest.raises(Exception, match="as if the store failed"):
        mounted.client.reload(touch=True)
    assert mounted.status().version == 2
    for name, ino in before.items():
        assert (mounted.path / name).read_text() == "2"
        assert (mounted.path / name).stat().st_ino != ino
