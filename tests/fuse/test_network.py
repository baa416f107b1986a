"""Two mounts of one network file system: what one closes the other opens."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from tests.harness.calls import RENAME_EXCHANGE, fails, renameat2, start_python
from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.api.client import Client
from volfs.api.network_file_system import NetworkFileSystem
from volfs.errors import MountError

pytestmark = pytest.mark.fuse
Pair = tuple[Path, Path]


def mount(mounts: Mounts, **options: object) -> Mounted:
    return mounts.mount(volume="net", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounts]:
    """Two mounts for all tests of this file."""
    mounts = Mounts(tmp_path_factory.mktemp("both"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLFS_RUNTIME_DIR", str(mounts.runtime))
        mounts.create("net", network=True)
        try:
            mount(mounts)
            mount(mounts)
            yield mounts
        finally:
            mounts.close()


@pytest.fixture
def pair(both: Mounts, request: pytest.FixtureRequest) -> Pair:
    """An empty directory, as each of the two shows it."""
    one, two = (mounted.path for mounted in both.mounted)
    name = f"{len(os.listdir(one))}-{request.node.originalname}"
    (one / name).mkdir()
    return one / name, two / name


def count_versions(mounts: Mounts) -> int:
    return mounts.store.refs.get_head(mounts.store.refs.get_volume("net").id).version


@pytest.mark.anywhere
def test_what_is_closed_is_seen_by_who_opens(pair: Pair) -> None:
    one, two = pair
    for number in range(5):
        (one / "f").write_text(f"from one: {number}")
        assert (two / "f").read_text() == f"from one: {number}"
        assert (two / "f").stat().st_size == len(f"from one: {number}")
        (two / "f").write_text(f"from the other: {number}")
        assert (one / "f").read_text() == f"from the other: {number}"


def test_appending_in_turn_loses_nothing(pair: Pair) -> None:
    for number in range(20):
        with (pair[number % 2] / "log").open("a") as file:
            file.write(f"{number}\n")
    lines = [str(number) for number in range(20)]
    assert all((path / "log").read_text().splitlines() == lines for path in pair)


@pytest.mark.anywhere
def test_names_are_seen_at_once(pair: Pair) -> None:
    one, two = pair
    assert not (two / "d").exists(), "that it is not there must not be remembered"
    (one / "d").mkdir()
    assert (two / "d").is_dir()
    (two / "d" / "f").write_text("x")
    assert os.listdir(one / "d") == ["f"]
    os.rename(one / "d" / "f", one / "g")
    assert (os.listdir(two / "d"), (two / "g").read_text()) == ([], "x")
    os.link(two / "g", two / "h")
    os.symlink("g", two / "s")
    assert ((one / "h").stat().st_nlink, os.readlink(one / "s")) == (2, "g")
    renameat2(one / "g", one / "d", RENAME_EXCHANGE)
    assert (two / "d").is_file()
    (two / "g").rmdir()
    assert not (one / "g").exists()
    os.mkfifo(one / "p")
    assert stat.S_ISFIFO((two / "p").stat().st_mode)
    (two / "p").unlink()
    assert sorted(os.listdir(one)) == ["d", "h", "s"]


def test_attributes_are_seen_at_once(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("x" * 100)
    (two / "f").chmod(0o600)
    assert (one / "f").stat().st_mode & 0o777 == 0o600
    os.utime(one / "f", ns=(0, 10**18))
    assert (two / "f").stat().st_mtime_ns == 10**18
    os.setxattr(two / "f", "user.a", b"b")
    assert os.getxattr(one / "f", "user.a") == b"b"
    os.removexattr(one / "f", "user.a")
    assert os.listxattr(two / "f") == []
    os.truncate(two / "f", 10)
    assert (one / "f").read_text() == "x" * 10


def test_an_open_file_keeps_what_it_had(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("old" * 1000)
    with (one / "f").open() as file:
        assert file.read(3) == "old"
        (two / "f").write_text("new")
        assert (one / "f").read_text() == "new"
        assert os.fstat(file.fileno()).st_size == 3000
        assert file.read() == "old" * 999
    assert (one / "f").read_text() == "new"


def test_nothing_is_seen_before_a_close(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("old")
    with (one / "f").open("w", buffering=1 << 20) as file, (one / "new").open("w") as other:
        file.write("half")
        file.flush()
        other.write("half")
        other.flush()
        (one / "d").mkdir()  # is published, and these files' content is not
        assert sorted(os.listdir(two)) == ["d", "f", "new"]
        assert ((two / "f").read_text(), (two / "new").read_text()) == ("old", "")
        assert (one / "f").read_text() == "half", "here it is seen"
        os.fsync(file.fileno())
        assert (two / "f").read_text() == "half"
        file.write(" and half")
        file.flush()
        os.rename(one / "new", one / "name")
        assert (two / "name").read_text() == "half", "a rename brings what was written"
    assert (two / "f").read_text() == "half and half"


@pytest.mark.parametrize("first", [0, 1])
def test_the_last_close_wins_whole(pair: Pair, first: int) -> None:
    (pair[0] / "f").write_text("." * 100_000)
    files = [os.open(path / "f", os.O_RDWR) for path in pair]
    for number, file in enumerate(files):
        os.pwrite(file, str(number).encode() * 50_000, number * 50_000)
    os.close(files[first])
    expected = "0" * 50_000 + "." * 50_000 if first == 0 else "." * 50_000 + "1" * 50_000
    assert (pair[first] / "f").read_text() == expected
    os.close(files[1 - first])
    expected = "0" * 50_000 + "." * 50_000 if first else "." * 50_000 + "1" * 50_000
    assert [(path / "f").read_text() for path in pair] == [expected] * 2


def test_who_opened_first_and_writes_last_wins(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("." * 10)
    file = os.open(one / "f", os.O_RDWR)
    (two / "f").write_text("theirs")
    assert (one / "f").read_text() == "theirs"
    os.pwrite(file, b"ours", 0)
    assert (one / "f").read_text() == "theirs", "until the close"
    os.close(file)
    assert [(path / "f").read_text() for path in pair] == ["ours......"] * 2


def test_hard_links_are_one_file(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("1")
    os.link(one / "f", one / "g")
    file = os.open(one / "g", os.O_RDWR)
    (two / "f").write_text("from the other")
    assert (one / "g").read_text() == "from the other"
    os.pwrite(file, b"2", 0)
    os.close(file)
    for path in pair:
        assert ((path / "f").read_text(), (path / "g").read_text()) == ("2", "2")
        assert (path / "f").stat().st_nlink == 2


def test_removed_while_open(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_text("x" * 10_000)
    with (one / "f").open("r+") as file:
        (two / "f").unlink()
        assert os.listdir(one) == []
        assert file.read() == "x" * 10_000
        assert os.fstat(file.fileno()).st_nlink == 0
        file.write("more")
    assert os.listdir(one) == os.listdir(two) == []


def test_a_removed_directory_is_gone_for_who_is_in_it(pair: Pair) -> None:
    one, two = pair
    (one / "d").mkdir()
    inside = os.open(one / "d", os.O_RDONLY)
    (two / "d").rmdir()
    with fails(errno.ESTALE):
        os.listdir(inside)
    os.close(inside)
    assert os.listdir(one) == []


def test_a_mapping_is_published_when_it_ends(pair: Pair) -> None:
    one, two = pair
    (one / "f").write_bytes(b"." * 5000)
    with (one / "f").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 5000)
    mapped[1000:1004] = b"here"
    mapped.close()
    wait_until(lambda: (two / "f").read_bytes()[1000:1004] == b"here", "the release")


def test_many_closes_share_commits(both: Mounts, pair: Pair) -> None:
    before = count_versions(both)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: (pair[n % 2] / f"{n}").write_text(f"{n}"), range(160)))
    for path in pair:
        assert {name: (path / name).read_text() for name in os.listdir(path)} == {
            str(n): str(n) for n in range(160)
        }
    assert count_versions(both) - before < 120


WRITER = """
import sys
path, number = sys.argv[1:]
for turn in range(5):
    with open(f"{path}/{number}-{turn}", "w") as file:
        file.write(f"{number} {turn}")
    if number < "4":
        with open(f"{path}/common", "r+") as file:
            assert len({*file.read()}) == 1, "torn"
            file.seek(0)
            for _ in range(8):
                file.write(number * 5000)
                file.flush()
"""


def test_eight_writers(mounts: Mounts) -> None:
    """Two in each of four mounts; in each mount one of them writes the common file."""
    mounts.create("net", network=True)
    paths = [mount(mounts).path for _ in range(4)]
    (paths[0] / "common").write_text("." * 40_000)
    writers = [start_python(WRITER, paths[number % 4], number) for number in range(8)]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0] * 8
    for path in paths:
        names = {name for name in os.listdir(path) if name != "common"}
        assert names == {f"{number}-{turn}" for number in range(8) for turn in range(5)}
        assert all((path / name).read_text() == name.replace("-", " ") for name in names)
    (common,) = {(path / "common").read_text() for path in paths}
    assert len({*common}) == 1


@pytest.mark.anywhere
def test_death_of_one(mounts: Mounts) -> None:
    mounts.create("net", network=True)
    one, two = mount(mounts), mount(mounts)
    for number in range(10):
        (one.path / f"{number}").write_text("closed")
    with (one.path / "open").open("w") as file:
        file.write("not closed")
        file.flush()
        one.kill()
        with fails(errno.ENOTCONN):
            file.close()
    names = sorted(os.listdir(two.path))
    assert [name for name in names if name != "open"] == [str(n) for n in range(10)]
    (two.path / "f").write_text("x")
    again = mount(mounts, place=one.path)
    assert (again.path / "f").read_text() == "x"
    assert (again.path / "3").read_text() == "closed"


def test_other_mounts_of_it(mounts: Mounts) -> None:
    mounts.create("net", network=True)
    one, looking = mount(mounts), mount(mounts, read_only=True)
    (one.path / "f").write_text("1")
    pinned = mount(mounts, at="head")
    with (looking.path / "f").open() as file:
        (one.path / "f").write_text("2")
        assert (looking.path / "f").read_text() == "2"
        assert looking.reload().version == count_versions(mounts), "it is never busy"
        assert file.read() == "1"
    assert (pinned.path / "f").read_text() == "1"
    with pytest.raises(MountError, match="pinned"):
        pinned.reload()


def test_a_commit_when_others_were_faster(mounts: Mounts) -> None:
    """What a commit asks of its own mount has to follow the head, which must not wait for it."""
    mounts.create("net", network=True)
    one, two = mount(mounts), mount(mounts)
    with (one.path / "f").open("w") as file:
        for number in range(3):
            file.write("half")
            file.flush()
            (two.path / f"{number}").touch()
            assert one.commit().changed
            (two.path / f"{number}").unlink()
    (two.path / "g").touch()
    one.unmount()
    assert sorted(os.listdir(two.path)) == ["f", "g"]


def test_with_the_python_api(mounts: Mounts) -> None:
    mounts.create("net", network=True)
    path = mount(mounts).path
    nfs = NetworkFileSystem.from_name("net", client=Client(mounts.address))
    try:
        nfs.write_file("d/f", BytesIO(b"from Python"))
        with (path / "d" / "f").open() as file:
            assert file.read() == "from Python"
            nfs.write_file("d/f", BytesIO(b"again"))
            assert (path / "d" / "f").read_text() == "again"
        (path / "d" / "g").write_text("from the mount")
        assert b"".join(nfs.read_file("d/g")) == b"from the mount"
        nfs.remove_file("d", recursive=True)
        assert os.listdir(path) == []
    finally:
        nfs.client.close()


def test_a_commit_by_hand_has_everything(mounts: Mounts) -> None:
    mounts.create("net", network=True)
    one, two = mount(mounts), mount(mounts)
    with (one.path / "f").open("w") as file:
        file.write("half")
        file.flush()
        assert one.commit("by hand").changed
        assert (two.path / "f").read_text() == "half"
    one.unmount()
    two.unmount()
    assert mounts.sessions == []
