"""Listing, reading, copying, removing: the committed state, in Modal's words."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.volume import Volume
from volfs.errors import OverriddenError
from volfs.types import FileEntry, FileEntryType

not_found = modal.exception.NotFoundError
invalid = modal.exception.InvalidError
BIG = os.urandom(3 << 20)


@pytest.fixture
def volume() -> Volume:
    """``a``, ``d/b`` (large), ``d/e/c`` and an empty file, as one version."""
    volume = modal.Volume.from_name("data", create_if_missing=True)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"aa"), "/a")
        batch.put_file(io.BytesIO(BIG), "d/b")
        batch.put_file(io.BytesIO(b"ccc"), "/d/e/c", mode=0o600)
        batch.put_file(io.BytesIO(), "empty")
    return volume


def read(volume: Volume, path: str) -> bytes:
    return b"".join(volume.read_file(path))


def names(volume: Volume, path: str = "/") -> list[str]:
    return [entry.path for entry in volume.iterdir(path)]


# --- listing ----------------------------------------------------------------


def test_listdir(volume: Volume) -> None:
    entries = volume.listdir("/")
    assert [(e.path, e.type.name, e.size) for e in entries] == [
        ("a", "FILE", 2),
        ("d", "DIRECTORY", len(BIG) + 3),
        ("empty", "FILE", 0),
    ]
    assert isinstance(entries[0], FileEntry)
    assert isinstance(entries[0].mtime, int)
    assert entries[0].type is FileEntryType.FILE
    assert modal.volume.FileEntry is modal.types.FileEntry is FileEntry
    for path in ("d", "/d", "/d/", "./d//"):
        assert [e.path for e in volume.listdir(path)] == ["d/b", "d/e"]
    assert [e.path for e in volume.listdir("/", recursive=True)] == names(volume)
    assert names(volume) == ["a", "d", "d/b", "d/e", "d/e/c", "empty"]
    assert [e.path for e in volume.iterdir("d", recursive=False)] == ["d/b", "d/e"]


def test_listing_a_file(volume: Volume) -> None:
    (entry,) = volume.listdir("/d/b")
    assert (entry.path, entry.size) == ("d/b", len(BIG))
    assert names(volume, "d/b") == ["d/b"]


def test_what_cannot_be_listed(volume: Volume) -> None:
    for path in ("missing", "a/b", "d/missing/x"):
        with pytest.raises(not_found):
            volume.listdir(path)
    for path in ("*", "d/**", "d/*"):
        walk = volume.iterdir(path)
        with pytest.raises(invalid, match=r"^Glob patterns in `volume get` and `Volume.listdir"):
            next(walk)
    with pytest.raises(invalid):
        volume.listdir("../x")


# --- reading ----------------------------------------------------------------


def test_read_file(volume: Volume) -> None:
    blocks = list(volume.read_file("/d/b"))
    assert b"".join(blocks) == BIG
    assert {type(block) for block in blocks} == {bytes}
    assert len(blocks) == 3
    assert read(volume, "a") == b"aa"
    assert read(volume, "empty") == b""
    for path in ("missing", "a/b"):
        with pytest.raises(FileNotFoundError):
            read(volume, path)
    with pytest.raises(IsADirectoryError):
        read(volume, "d")


def test_reading_goes_on_with_the_version_it_began_with(volume: Volume) -> None:
    blocks = volume.read_file("d/b")
    first = next(blocks)
    volume.remove_file("d/b")
    assert first + b"".join(blocks) == BIG


def test_reading_goes_on_after_a_fork(volume: Volume) -> None:
    blocks = volume.read_file("d/b")
    first = next(blocks)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = int(first + b"".join(blocks) != BIG)
        finally:
            os._exit(status)
    assert first + b"".join(blocks) == BIG
    assert os.waitpid(pid, 0)[1] == 0


def test_read_file_into_fileobj(volume: Volume) -> None:
    told: list[int] = []
    out = io.BytesIO(b"before")
    out.seek(6)
    size = volume.read_file_into_fileobj("d/b", out, lambda advance: told.append(advance))
    assert (size, sum(told), out.tell()) == (len(BIG), len(BIG), len(BIG) + 6)
    assert out.getvalue() == b"before" + BIG
    with pytest.raises(FileNotFoundError):
        volume.read_file_into_fileobj("missing", out)

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            return 0

    with pytest.raises(OSError, match="File object write made no progress"):
        volume.read_file_into_fileobj("a", Full())


def test_stat_usage_exists(volume: Volume) -> None:
    stat = volume.stat("/d/e/c")
    assert (stat.path, stat.size, stat.mode, stat.links, stat.uid) == (
        "d/e/c",
        3,
        0o600,
        1,
        os.getuid(),
    )
    assert volume.stat("/").type is FileEntryType.DIRECTORY
    assert volume.stat("a").mode == 0o644
    usage = volume.usage()
    assert (usage.files, usage.directories, usage.bytes) == (4, 2, len(BIG) + 5)
    assert volume.usage("d/e").bytes == 3
    assert volume.usage("a").bytes == 2
    assert volume.exists("/d/e/c")
    assert volume.exists("/")
    assert not volume.exists("d/e/x")
    assert not volume.exists("a/x")
    with pytest.raises(FileNotFoundError):
        volume.stat("missing")
    with pytest.raises(FileNotFoundError):
        volume.usage("a/b")


# --- changing ---------------------------------------------------------------


def test_remove_file(volume: Volume) -> None:
    volume.remove_file("/a")
    assert names(volume) == ["d", "d/b", "d/e", "d/e/c", "empty"]
    with pytest.raises(invalid, match="is a directory"):
        volume.remove_file("d")
    volume.remove_file("d", recursive=True)
    assert names(volume) == ["empty"]
    for path in ("a", "empty/x"):
        with pytest.raises(FileNotFoundError):
            volume.remove_file(path)
    with pytest.raises(invalid):
        volume.remove_file("/", recursive=True)
    assert [v.message for v in volume.log()] == ["remove d", "remove /a", "put 4 files"]


def test_copy_files(volume: Volume) -> None:
    volume.copy_files(["a"], "f")
    volume.copy_files(["a", "/empty"], "d/e")
    volume.copy_files(["d/b"], "/d/e/")
    assert names(volume, "d") == ["d/b", "d/e", "d/e/a", "d/e/b", "d/e/c", "d/e/empty"]
    assert read(volume, "f") == b"aa"
    assert read(volume, "d/e/b") == BIG
    volume.copy_files(["d"], "g", recursive=True)
    assert read(volume, "g/e/a") == b"aa"
    volume.copy_files(["a", "empty"], "new")
    volume.copy_files(["a", "empty"], "/deep/new.d/")
    assert [names(volume, at) for at in ("new", "deep/new.d")] == [
        ["new/a", "new/empty"],
        ["deep/new.d/a", "deep/new.d/empty"],
    ]
    before = names(volume)
    with pytest.raises(invalid, match=r"new\.txt: not a directory"):
        volume.copy_files(["a", "empty"], "new.txt")
    with pytest.raises(invalid, match="not a directory"):
        volume.copy_files(["a", "empty"], "a/below")
    with pytest.raises(not_found):
        volume.copy_files(["a", "missing"], "newer")
    with pytest.raises(not_found):
        volume.copy_files(["a", "missing"], "d")
    with pytest.raises(invalid, match="not a directory"):
        volume.copy_files(["a", "f"], "empty")
    with pytest.raises(invalid, match="only copied recursively"):
        volume.copy_files(["d"], "h")
    with pytest.raises(invalid, match="must be a list"):
        volume.copy_files("a", "b")
    assert names(volume) == before, "what fails changes nothing"


def test_read_only_handles_write_nothing(volume: Volume) -> None:
    handle = volume.read_only()
    for call in (
        lambda: handle.batch_upload(),
        lambda: handle.remove_file("a"),
        lambda: handle.copy_files(["a"], "b"),
        lambda: handle.restore(1),
    ):
        with pytest.raises(invalid, match="Read-only Volume can not be written to"):
            call()
    assert read(handle, "a") == b"aa"
    volume.with_mount_options(read_only=True).remove_file("a")


# --- history ----------------------------------------------------------------


def test_history(volume: Volume) -> None:
    volume.tag("good")
    volume.remove_file("a")
    volume.copy_files(["empty"], "full")
    assert [(v.version, v.files, v.tags) for v in volume.log()] == [
        (3, 4, ()),
        (2, 3, ()),
        (1, 4, ("good",)),
    ]
    assert [v.version for v in volume.log(1)] == [3]
    assert volume.log()[0].created_at.tzinfo is not None
    changes = volume.diff("good")
    assert [(c.change, c.path, c.old_size, c.size) for c in changes] == [
        ("deleted", "a", 2, None),
        ("added", "full", None, 0),
    ]
    assert volume.diff(2, 2) == []
    assert volume.tags() == {"good": 1}
    with pytest.raises(modal.exception.AlreadyExistsError):
        volume.tag("good", 2)
    assert volume.tag("good", "head~1", move=True) == 2
    volume.delete_tag("good")
    with pytest.raises(not_found):
        volume.delete_tag("good")
    with pytest.raises(invalid):
        volume.tag("1")
    with pytest.raises(not_found):
        volume.diff("good")


def test_restore(volume: Volume) -> None:
    volume.remove_file("d", recursive=True)
    volume.remove_file("a")
    assert volume.restore(1, "/d/b").version == 4
    assert names(volume) == ["d", "d/b", "empty"]
    commit = volume.restore("head~3", message="all of it")
    assert (commit.version, volume.log()[0].message) == (5, "all of it")
    assert volume.diff(1) == []
    assert not volume.restore(1)
    with pytest.raises(FileNotFoundError):
        volume.restore(1, "missing")
    with pytest.raises(not_found):
        volume.restore(99)


def test_merge(volume: Volume) -> None:
    fork = volume.fork("dev")
    for handle in (fork, volume):
        handle.remove_file("a")
    fork.remove_file("d", recursive=True)
    merged = fork.merge(message="back")
    assert (merged.version, merged.overridden) == (3, ())
    assert (names(volume), volume.log()[0].message) == (["empty"], "back")
    assert not fork.merge(volume)
    for handle in (fork, volume):
        with handle.batch_upload() as batch:
            batch.put_file(io.BytesIO(handle.object_id.encode()), "/both")
    with pytest.raises(OverriddenError):
        fork.merge(on_conflict="fail")
    assert not fork.merge(on_conflict="keep").overridden
    again = fork.merge(since=1)
    assert [item.path for item in again.overridden] == ["both"]
    with pytest.raises(not_found, match="name the volume"):
        volume.merge()


def test_at(volume: Volume) -> None:
    old = volume.at(1)
    newest = volume.at("head")
    assert newest.version == 1
    volume.remove_file("a")
    assert read(old, "a") == read(newest, "a") == b"aa"  # type: ignore[arg-type]
    assert [e.path for e in old.listdir("/")] == ["a", "d", "empty"]
    assert old.usage().files == 4
    assert not volume.exists("a")
    assert repr(old) == "volfs.Volume(name='data').at(1)"
    assert not hasattr(old, "remove_file")
    copy = pickle.loads(pickle.dumps(old))
    assert (copy.version, read(copy, "a")) == (1, b"aa")
    with pytest.raises(not_found):
        volume.at("none").listdir("/")


def test_fork(volume: Volume) -> None:
    fork = volume.fork("other")
    assert fork.name == "other"
    assert fork.object_id != volume.object_id
    fork.remove_file("d", recursive=True)
    assert read(volume, "d/b") == BIG
    assert modal.Volume.from_name("other").log()[0].version == 2
    volume.remove_file("a")
    assert volume.fork("third", 1).exists("a")
    with pytest.raises(modal.exception.AlreadyExistsError):
        volume.fork("other")


# --- other documents --------------------------------------------------------


def test_names_that_modal_has_not(tmp_path: Path) -> None:
    warns = pytest.warns(modal.exception.DeprecationError, match="Modal has no Volume")
    with warns as caught:
        volume = modal.Volume.persist("data")
    assert caught[0].filename == __file__
    (tmp_path / "local.txt").write_text("local")
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.txt").write_text("a")
    (tmp_path / "d" / "e" / "b.txt").write_text("b")
    (tmp_path / "d" / "e" / "b.bin").write_text("b")
    for _ in range(2):
        with warns as caught:
            volume.put_file(str(tmp_path / "local.txt"), "/input.txt")
        assert caught[0].filename == __file__
    with warns:
        volume.put_directory(tmp_path / "d", "/d", pattern="*.txt")
    assert names(volume) == ["d", "d/a.txt", "d/e", "d/e/b.txt", "input.txt"]
    with warns:
        volume.get_file("/input.txt", tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "local"
    out = io.BytesIO()
    with warns:
        volume.get_file("input.txt", out)
    assert out.getvalue() == b"local"
    with warns, pytest.raises(FileNotFoundError):
        volume.get_file("missing", tmp_path / "copy.txt")


def test_progress_of_put_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"12345")
    volume = modal.Volume.from_name("data", create_if_missing=True)
    with pytest.warns(modal.exception.DeprecationError):
        volume.put_directory(tmp_path / "d", "/", progress=True)
    assert capsys.readouterr().err.endswith("1 of 1 files, 5 bytes\n")


# --- twins ------------------------------------------------------------------


async def test_twins(volume: Volume) -> None:
    assert [entry.path async for entry in volume.iterdir.aio("d/e")] == ["d/e/c"]
    assert b"".join([block async for block in volume.read_file.aio("d/b")]) == BIG
    assert len(await volume.listdir.aio("/")) == 3
    async with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"x"), "x")
    await volume.copy_files.aio(["x"], "y")
    await volume.remove_file.aio("x")
    assert (await volume.stat.aio("y")).size == 1
    with pytest.raises(FileNotFoundError):
        await volume.remove_file.aio("x")
    assert [v.version for v in await volume.log.aio()] == [4, 3, 2, 1]
    await modal.Volume.rename.aio("data", "renamed")
    async with modal.Volume.ephemeral() as other:
        assert await other.listdir.aio("/") == []
