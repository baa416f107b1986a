"""``batch_upload``: one version or none, and Modal's rules of what goes where."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import volfs as modal
from tests.api.conftest import finish, start
from volfs.api.volume import Volume


@pytest.fixture
def volume() -> Volume:
    return modal.Volume.from_name("data", create_if_missing=True).hydrate()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Files at two depths, an empty directory, symlinks to a file, a directory and nowhere."""
    top = tmp_path / "local"
    (top / "e" / "f").mkdir(parents=True)
    (top / "hollow").mkdir()
    (top / "a").write_text("a")
    (top / "e" / "b").write_text("bb")
    (top / "e" / "f" / "c").write_text("ccc")
    (top / "link").symlink_to("a")
    (top / "linked").symlink_to("e")
    (top / "nowhere").symlink_to("missing")
    os.mkfifo(top / "fifo")
    os.chmod(top / "a", 0o751)
    return top


def tree(volume: Volume) -> dict[str, str]:
    return {
        entry.path: b"".join(volume.read_file(entry.path)).decode()
        for entry in volume.iterdir("/")
        if entry.type.name == "FILE"
    }


def upload(volume: Volume, *files: tuple[Any, str], force: bool = False) -> None:
    with volume.batch_upload(force) as batch:
        for local, remote in files:
            batch.put_file(local, remote)


def versions(volume: Volume) -> int:
    return len(volume.log())


def test_one_version_at_the_end(volume: Volume, local: Path) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(local / "a", "/one")
        batch.put_file(str(local / "e" / "b"), "deep/er/two")
        batch.put_directory(str(local), "/dir/")
        (local / "a").write_text("later")
        assert tree(volume) == {}
    assert versions(volume) == 1
    assert tree(volume) == {
        "one": "later",
        "deep/er/two": "bb",
        "dir/a": "later",
        "dir/e/b": "bb",
        "dir/e/f/c": "ccc",
        "dir/link": "later",
    }
    assert not volume.exists("dir/hollow")
    assert volume.stat("one").mode == volume.stat("dir/link").mode == 0o751
    assert volume.stat("one").mtime_ns == (local / "a").stat().st_mtime_ns


def test_not_recursive(volume: Volume, local: Path) -> None:
    with volume.batch_upload() as batch:
        batch.put_directory(local, "d", recursive=False)
    assert sorted(tree(volume)) == ["d/a", "d/link"]


def test_a_root_directory(volume: Volume, local: Path) -> None:
    with volume.batch_upload() as batch:
        batch.put_directory(local / "e", "/")
    assert sorted(tree(volume)) == ["b", "f/c"]


def test_an_error_in_the_block(volume: Volume, local: Path) -> None:
    def fail() -> None:
        with volume.batch_upload() as batch:
            batch.put_file(local / "a", "a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert versions(volume) == 0


def test_an_empty_block(volume: Volume) -> None:
    with volume.batch_upload():
        pass
    assert versions(volume) == 0


def test_all_or_nothing(volume: Volume, local: Path) -> None:
    upload(volume, (local / "a", "there"))
    new, there = (local / "e" / "b", "new"), (io.BytesIO(b"x"), "there")
    with pytest.raises(FileExistsError, match="there: already exists; force=True overwrites"):
        upload(volume, new, there, (local / "a", "other"))
    assert tree(volume) == {"there": "a"}
    upload(volume, new, there, force=True)
    assert tree(volume) == {"there": "x", "new": "bb"}
    assert versions(volume) == 2


def test_force_replaces_no_directory(volume: Volume, local: Path) -> None:
    with volume.batch_upload() as batch:
        batch.put_directory(local, "d")
    with pytest.raises(FileExistsError, match="d/e: is a directory"):
        upload(volume, (local / "a", "d/e"), force=True)
    with pytest.raises(NotADirectoryError):
        upload(volume, (local / "a", "d/a/x"), force=True)


def test_one_path_twice(volume: Volume, local: Path) -> None:
    twice = (local / "a", "x"), (local / "e" / "b", "/x/")
    with pytest.raises(FileExistsError):
        upload(volume, *twice)
    within = (io.BytesIO(b"1"), "d/x"), (io.BytesIO(b"2"), "d")
    for force in (False, True):
        for files in (within, tuple(reversed(within))):
            with pytest.raises(FileExistsError, match="d: is a directory"):
                upload(volume, *files, force=force)
    upload(volume, *twice, force=True)
    assert tree(volume) == {"x": "bb"}


def test_what_is_not_there(volume: Volume, local: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        upload(volume, (local / "missing", "x"))
    with pytest.raises(IsADirectoryError):
        upload(volume, (local / "e", "x"))
    with pytest.raises(modal.exception.InvalidError, match="not a file"):
        upload(volume, (local / "fifo", "x"))
    batch = volume.batch_upload()
    for path in ("a", "missing"):
        with pytest.raises(AssertionError):
            batch.put_directory(local / path, "x")
    assert versions(volume) == 0


def test_remote_paths(volume: Volume) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"x"), "dir/")
        for path in ("/", "//"):
            with pytest.raises(ValueError, match=r"must refer to a file - cannot end with /"):
                batch.put_file(io.BytesIO(b"x"), path)
        with pytest.raises(modal.exception.InvalidError):
            batch.put_file(io.BytesIO(b"x"), "../x")
    assert tree(volume) == {"dir": "x"}


def test_file_objects(volume: Volume, local: Path) -> None:
    data = os.urandom(2_500_000)
    there = io.BytesIO(data)
    there.read(1000)
    with (local / "a").open("rb") as file, volume.batch_upload() as batch:
        batch.put_file(there, "big")
        batch.put_file(file, "a")
        batch.put_file(io.BytesIO(b"x"), "mode", mode=0o4711)
        batch.put_file(local / "a", "unset", mode=0)
    assert b"".join(volume.read_file("big")) == data
    assert [volume.stat(name).mode for name in ("big", "a", "mode", "unset")] == [
        0o644,
        0o644,
        0o4711,
        0o751,
    ]


def test_many_files(volume: Volume, tmp_path: Path) -> None:
    """More than one batch of the pool; large ones, too."""
    top = tmp_path / "many"
    top.mkdir()
    for number in range(300):
        (top / f"{number:03}").write_bytes(bytes([number % 256]) * number)
    (top / "large").write_bytes(bytes(5 << 20) + b"end")
    with volume.batch_upload() as batch:
        batch.put_directory(top, "/")
    assert volume.usage().files == 301
    assert b"".join(volume.read_file("299")) == bytes([43]) * 299
    assert volume.stat("large").size == (5 << 20) + 3


def test_threads_and_processes_at_once(volume: Volume) -> None:
    """Each batch is one version, and none is lost."""
    program = """
        import io
        volume = modal.Volume.from_id(sys.argv[1])
        for number in range(5):
            with volume.batch_upload() as batch:
                batch.put_file(io.BytesIO(b"x"), f"process/{number}")
        """
    process = start(program, volume.object_id)

    def work(name: str) -> None:
        for number in range(5):
            upload(volume, (io.BytesIO(b"x"), f"{name}/{number}"))

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, "abc"))
    finish(process)
    assert volume.usage().files == versions(volume) == 20
