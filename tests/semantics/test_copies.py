"""The contract, sentence by sentence: copies in other stores.

What happens at deaths is in ``tests/cli/test_replicas.py``, damage in ``tests/volume/replicas``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from volfs.errors import ConflictError
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.replicas.sending import send_volume

pytestmark = pytest.mark.fuse


@pytest.fixture
def other(mounts: Mounts, tmp_path: Path) -> Iterator[Mounts]:
    """Mounts over another store, which has no volume yet."""
    (tmp_path / "other").mkdir()
    others = Mounts(tmp_path / "other")
    others.runtime = mounts.runtime
    others.environment = mounts.environment
    yield others
    others.close()


def describe(directory: Path) -> dict[str, tuple[object, ...]]:
    """What can be seen of the files of a tree, but for inode numbers and change times."""
    found: dict[str, tuple[object, ...]] = {}
    links: dict[int, int] = {}
    for top, names, files in os.walk(directory):
        for path in sorted(Path(top) / name for name in (*names, *files)):
            status = path.lstat()
            link = links.setdefault(status.st_ino, len(links))
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            xattrs = {k: os.getxattr(path, k) for k in os.listxattr(path, follow_symlinks=False)}
            facts = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
            size = (status.st_size, status.st_blocks, status.st_nlink, status.st_rdev)
            found[str(path.relative_to(directory))] = (facts, size, link, content, xattrs)
    return found


def fill(path: Path) -> None:
    """A file of each sort that a volume can hold."""
    (path / "d/e").mkdir(parents=True)
    (path / "d/big").write_bytes(os.urandom(3_000_000))
    os.link(path / "d/big", path / "d/e/linked")
    (path / "text").write_bytes(b"text " * 100_000)
    with (path / "holes").open("wb") as file:
        file.truncate(50_000_000)
        os.pwrite(file.fileno(), b"x" * 5000, 20_000_000)
    (path / "to").symlink_to("d/e")
    os.mkfifo(path / "fifo")
    os.setxattr(path / "text", "user.note", b"\xff\0")
    subprocess.run(["setfacl", "-m", "u:1234:rw", path / "text"], check=True)
    os.chown(path / "d", 1000, 1001)
    os.utime(path / "text", ns=(1, 1_234_567_890_123_456_789))
    (path / os.fsdecode(b"no text \xff")).write_bytes(b"1")


def test_a_copy_is_equal(mounts: Mounts, other: Mounts) -> None:
    """... with equal files, attributes, hard links and holes, and equal numbers, authors and
    messages. What a mount has not committed is not among them."""
    mounted = mounts.mount()
    fill(mounted.path)
    mounted.commit("all sorts")
    before = describe(mounted.path)
    (mounted.path / "uncommitted").write_bytes(b"1")
    send_volume(mounts.store, mounts.volume, other.store)
    assert describe(other.mount().path) == before
    assert other.store.refs.get_head(mounts.volume.id) == mounts.store.refs.get_head(
        mounts.volume.id
    )


def test_a_mount_of_the_copy_reloads(mounts: Mounts, other: Mounts) -> None:
    """A mount of the copy sees new versions when it reloads."""
    mounted = mounts.mount()
    write_and_send(mounted, mounts.store, other.store, "1")
    copy = other.mount()
    write_and_send(mounted, mounts.store, other.store, "2")
    assert (copy.path / "f").read_text() == "1"
    copy.reload()
    assert (copy.path / "f").read_text() == "2"


def write_and_send(mounted: Mounted, store: Store, other: Store, text: str) -> None:
    (mounted.path / "f").write_text(text)
    mounted.commit(text)
    (volume,) = store.refs.list_volumes()
    assert len(send_volume(store, volume, other).versions) == 1


def test_a_copy_that_was_committed_to(mounts: Mounts, other: Mounts) -> None:
    """If the copy has versions that the original lacks, nothing is added."""
    mounted = mounts.mount()
    write_and_send(mounted, mounts.store, other.store, "1")
    copy = other.mount()
    (copy.path / "theirs").write_text("2")
    copy.commit("theirs")
    with pytest.raises(ConflictError):
        write_and_send(mounted, mounts.store, other.store, "2")
    copy.reload()
    assert (copy.path / "f").read_text() == "1"


def test_one_store_in_two_places(mounts: Mounts, tmp_path: Path) -> None:
    """A copied directory is another store: each gets what the other has."""
    mounted = mounts.mount()
    (mounted.path / "f").write_text("1")
    mounted.commit("1")
    mounted.unmount()
    mounts.close_store()
    subprocess.run(["cp", "-a", mounts.store_path, tmp_path / "twin"], check=True)
    twin = open_store(str(tmp_path / "twin"))
    assert send_volume(mounts.store, mounts.volume, twin).versions == []
    again = mounts.mount()
    write_and_send(again, mounts.store, twin, "2")
    twin.close()
