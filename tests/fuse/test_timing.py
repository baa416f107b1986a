"""What was asked of a mount: counted by operation, and with the level debug a line each."""

from __future__ import annotations

import errno
import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Command, volfs
from tests.harness.calls import fails
from tests.harness.mounted import Mounted, Mounts
from volfs.errors import VolumeBusyError

pytestmark = pytest.mark.fuse
__all__ = ["volfs"]

FORGED = "a\n\x1b[2J b"
LINE = re.compile(r" DEBUG volfs\.fuse\.request_guard: (\w+) (.*): (\d+) us, (\w+)$")


def use(here: Path) -> None:
    """One of each of some operations, and three reads past the kernel's cache."""
    (here / "d").mkdir()
    (here / "d" / FORGED).write_bytes(b"x" * 8192)
    os.rename(here / "d" / FORGED, here / "new")
    with fails(errno.ENODATA):
        os.getxattr(here / "new", "user.none")
    reader = os.open(here / "new", os.O_RDONLY | os.O_DIRECT)
    try:
        for offset in (0, 4096, 8192):
            os.preadv(reader, [memoryview(bytearray(4096))], offset)
    finally:
        os.close(reader)


def read_lines(mounted: Mounted) -> list[tuple[str, str, int, str]]:
    found = map(LINE.search, mounted.log.read_text().splitlines())
    return [(m[1], m[2], int(m[3]), m[4]) for m in found if m]


@pytest.mark.parametrize("is_network", [False, True])
def test_lines_and_counters_agree(mounts: Mounts, is_network: bool) -> None:
    mounts.create("v", network=is_network)
    mounted = mounts.mount(volume="v", log_level="debug")
    use(mounted.path)
    requests = mounted.status().requests
    for name in ("mkdir", "create", "rename"):
        assert requests[name].count == 1, name
    assert requests["read"].count >= 2, "and perhaps one at the end of the file"
    mounted.unmount()
    lines = read_lines(mounted)
    logged = Counter(name for name, *_ in lines)
    for name in ("mkdir", "create", "write", "rename", "getxattr", "read"):
        assert logged[name] == requests[name].count, name
    said = {(name, about, result) for name, about, _, result in lines}
    shown = r"a\n\x1b[2J b"
    assert said >= {
        ("mkdir", "d", "ok"),
        ("create", f"d/{shown}", "ok"),
        ("write", f"d/{shown}", "ok"),
        ("rename", f"d/{shown} -> new", "ok"),
        ("getxattr", "new", "ENODATA"),
        ("read", "new", "ok"),
    }
    for name, times in requests.items():
        assert sum(times.histogram) == times.count, name
    failed = Counter(name for name, _, _, result in lines if result != "ok")
    assert requests["getxattr"].errors == failed["getxattr"] >= 1
    assert requests["read"].errors == 0


def test_the_command_shows_them(volfs: Command, tmp_path: Path) -> None:
    place, log = tmp_path / "mnt", tmp_path / "log"
    place.mkdir()
    volfs("create", "v")
    volfs("mount", "v", place, "--log", log, VOLFS_LOG_LEVEL="debug")
    try:
        use(place)
        (row,) = volfs("status", "v", "--json").json
        mkdir = row["requests"]["mkdir"]
        assert (mkdir["count"], mkdir["errors"]) == (1, 0)
        (bucket,) = mkdir["histogram"]
        assert bucket["count"] == 1
        assert bucket["below_us"] / 2 <= mkdir["total_us"] < bucket["below_us"] or (
            mkdir["total_us"] == 0
        )
        rows = volfs("status", "v", "--requests", "--json").json
        (shown,) = [row for row in rows if row["operation"] == "mkdir"]
        assert shown == {
            "mountpoint": str(place),
            "operation": "mkdir",
            "requests": 1,
            "errors": 0,
            "mean_us": mkdir["total_us"],
            "p50_us": bucket["below_us"],
            "p99_us": bucket["below_us"],
        }
        lines = volfs("status", "--requests").lines
        assert [line.split("\t")[2:4] for line in lines if "\tmkdir\t" in line] == [["1", "0"]]
        assert len(volfs("status", "v").lines[0].split("\t")) == 15, "the table has no more columns"
    finally:
        volfs("umount", place)
    assert "mkdir d: " in log.read_text()


def test_there_are_no_lines_unless_they_are_wanted(mounts: Mounts) -> None:
    mounted = mounts.mount()
    use(mounted.path)
    assert mounted.status().requests["rename"].count == 1
    mounted.unmount()
    assert not read_lines(mounted)


def test_a_level_of_the_environment_that_is_none(volfs: Command, tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    place.mkdir()
    volfs("create", "v")
    said = volfs("mount", "v", place, status=2, VOLFS_LOG_LEVEL="loud").err
    assert "log level 'loud': use one of debug, info, warning, error" in said
    assert said.count("\n") == 1


def test_a_slow_request_is_a_line_and_others_are_none(mounts: Mounts, volfs: Command) -> None:
    mounts.expect("slow: ")
    slow = mounts.mount(slow_log=0.0)
    use(slow.path)
    lines = re.findall(r"WARNING volfs\.fuse\.request_guard: slow: (.*)", slow.wait_for_log("new:"))
    assert any(re.fullmatch(r"mkdir d: 0\.\d{3} s, ok", line) for line in lines), lines
    assert any(re.fullmatch(r"rename d/\S+ b -> new: \d\.\d{3} s, ok", line) for line in lines)
    assert any(re.fullmatch(r"getxattr new: \d\.\d{3} s, ENODATA", line) for line in lines)
    assert slow.status().logged["warning"] >= len(lines)
    quick = mounts.mount(slow_log=1e9)
    use(quick.path)
    assert "slow: " not in quick.log.read_text()
    assert quick.status().logged == {"warning": 0, "error": 0}
    said = volfs("mount", "v", mounts.place(), status=2, VOLFS_SLOW_LOG="soon").err
    assert "VOLFS_SLOW_LOG=soon: is no number of milliseconds" in said


def test_a_mount_counts_what_it_does(mounts: Mounts) -> None:
    mounted = mounts.mount()
    before = mounted.status().activity
    assert before is not None
    assert (before.commits.count, before.last_commit_ns, before.written_bytes) == (0, 0, 0)
    (mounted.path / "f").write_bytes(os.urandom(200_000))
    assert mounted.commit().changed
    assert not mounted.commit().changed, "nothing changed, so this is no commit to count"
    mounted.reload()
    with (mounted.path / "f").open("rb") as file:
        assert len(file.read()) == 200_000
        with pytest.raises(VolumeBusyError):
            mounted.reload()
    done = mounted.status().activity
    assert done is not None
    assert (done.commits.count, done.commits.errors) == (1, 0)
    assert sum(done.commits.histogram) == 1
    assert (done.reloads.count, done.reloads.errors) == (2, 1)
    assert done.committed_bytes > 200_000
    assert done.written_bytes == 200_000
    other = mounts.mount()
    assert len((other.path / "f").read_bytes()) == 200_000
    read = other.status().activity
    assert read is not None
    assert read.read_bytes == 200_000
    assert read.reads_ready + read.reads_waited >= 1
    assert abs(done.last_commit_ns - time.time_ns()) < 600e9
