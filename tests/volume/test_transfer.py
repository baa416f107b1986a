"""put and get: everything of a tree there and back, all or nothing, never outside."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.volume.shortcuts import (
    head_snapshot,
    list_paths,
    make_file,
    noise,
    publish_files,
    read_file,
)
from tests.volume.test_edit import link_twice
from volfs.errors import (
    DataError,
    EntryExistsError,
    LimitError,
    LocalFileError,
    NoEntryError,
    NotADirectoryInVolumeError,
)
from volfs.model.entry import Entry, FileKind, replace, set_content
from volfs.model.names import parse_path
from volfs.model.progress import Progress
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume import put as put_module
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.get import GetResult, get_to_local
from volfs.volume.output import OutputExistsError, write_content
from volfs.volume.put import PutResult, put_local
from volfs.volume.version_reader import Reader


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A tree with everything that put keeps."""
    top = tmp_path / "local"
    (top / "d/empty").mkdir(parents=True)
    (top / "small").write_bytes(b"small")
    (top / "big").write_bytes(noise(700_000))
    (top / "none").touch()
    (top / "d/script").write_bytes(b"#!/bin/sh\n" * 500)
    (top / "d/script").chmod(0o751)
    (top / "d/link").symlink_to("../small")
    (top / "d/dangling").symlink_to("/no/such\udcff")
    (top / "dirlink").symlink_to("d")
    os.link(top / "small", top / "d/hard")
    with (top / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(500 << 20)
        file.write(b"middle")
    bad = os.fsencode(top) + b"/\xff\xfe not text"
    Path(os.fsdecode(bad)).write_bytes(b"odd")
    Path(os.fsdecode(os.fsencode(top) + b"/" + b"n" * 255)).write_bytes(b"long")
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000_000_000_001 + number), follow_symlinks=False)
    (top / "d").chmod(0o555)
    os.utime(top / "d", ns=(0, 1_500_000_000_123_456_789))
    return top


def put(
    store: Store, volume: VolumeRecord, local: Path, path: str = "/", **options: bool
) -> PutResult:
    return put_local(store, volume, local, parse_path(path), **options)  # type: ignore[arg-type]


def get(store: Store, volume: VolumeRecord, path: str, to: Path, **options: bool) -> GetResult:
    snapshot = head_snapshot(store, volume)
    return get_to_local(store, volume, snapshot, parse_path(path), to, **options)  # type: ignore[arg-type]


def describe(top: Path) -> dict[bytes, tuple[object, ...]]:
    """What must survive: kinds, modes, times, contents and targets."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path in top.rglob("*"):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file() and status.st_size < 1 << 20:
            content = path.read_bytes()
        name = os.fsencode(path.relative_to(top))
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        found[name] = (status.st_mode, status.st_mtime_ns, size, content)
    return found


def test_a_tree_comes_back_as_it_was(
    store: Store, volume: VolumeRecord, local: Path, tmp_path: Path
) -> None:
    result = put(store, volume, local, "some/where")
    assert result.files == 9 - 1
    assert store.refs.get_head(volume.id).version == 1
    got = get(store, volume, "some/where", tmp_path / "out")
    assert got.files == 8 + 3  # symlinks too
    assert describe(tmp_path / "out") == describe(local)
    assert (tmp_path / "out/sparse").stat().st_blocks * 512 < 1 << 20
    with (tmp_path / "out/sparse").open("rb") as file:
        file.seek(500 << 20)
        assert file.read(7) == b"middle\0"


def test_the_root_of_a_volume_keeps_its_own_mode(
    store: Store, volume: VolumeRecord, local: Path
) -> None:
    local.chmod(0o700)
    put(store, volume, local, "/")
    assert head_snapshot(store, volume).root.mode == 0o755
    put(store, volume, local, "new")
    reader = Reader(store.objects_of(volume.id).load_object)
    assert reader.get_path(head_snapshot(store, volume), (b"new",)).mode == 0o700


def test_fifos_and_sockets_are_skipped_with_a_note(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    top = tmp_path / "odd"
    top.mkdir()
    (top / "file").touch()
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(top / "socket"))
        result = put(store, volume, top)
    assert sorted(result.skipped) == [str(top / "fifo"), str(top / "socket")]
    assert list_paths(store, volume) == ["file"]
    with pytest.raises(LocalFileError, match="a socket"):
        put(store, volume, top / "socket", "x")


def test_what_is_there_is_kept_unless_forced(
    store: Store, volume: VolumeRecord, local: Path
) -> None:
    publish_files(store, volume, {"x/small": b"old", "x/other": b"stays"})
    with pytest.raises(EntryExistsError, match="x/small"):
        put(store, volume, local, "x")
    assert store.refs.get_head(volume.id).version == 1
    put(store, volume, local, "x", force=True)
    assert read_file(store, volume, "x/small") == b"small"
    assert read_file(store, volume, "x/other") == b"stays"


def test_files_and_directories_never_replace_each_other(
    store: Store, volume: VolumeRecord, local: Path
) -> None:
    publish_files(store, volume, {"x/small/dir": b"", "x/d": b""})
    with pytest.raises((EntryExistsError, NotADirectoryInVolumeError)):
        put(store, volume, local, "x", force=True)
    with pytest.raises(EntryExistsError, match="is a directory"):
        put(store, volume, local / "small", "x", force=True)
    assert store.refs.get_head(volume.id).version == 1


def test_a_missing_local_path_is_named(store: Store, volume: VolumeRecord, tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="nope"):
        put(store, volume, tmp_path / "nope", "x")


@pytest.mark.parametrize("how", ["change", "vanish", "become a link"])
def test_a_tree_that_changes_meanwhile_publishes_nothing(
    store: Store, volume: VolumeRecord, local: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    scan = put_module.scan

    def disturb(*args: object) -> object:
        found = scan(*args)  # type: ignore[arg-type]
        victim = local / "big"
        if how == "change":
            victim.write_bytes(b"shorter")
        else:
            victim.unlink()
        if how == "become a link":
            victim.symlink_to("/etc/passwd")
        return found

    monkeypatch.setattr(put_module, "scan", disturb)
    with pytest.raises(LocalFileError, match="big"):
        put(store, volume, local)
    assert store.refs.get_head(volume.id).version == 0


def test_a_file_that_changes_while_it_is_read_publishes_nothing(
    store: Store, volume: VolumeRecord, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread

    def grow(fd: int, length: int, offset: int) -> bytes:
        if offset:
            with (local / "big").open("ab") as file:
                file.write(b"more")
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", grow)
    with pytest.raises(LocalFileError, match="big: changed"):
        put(store, volume, local / "big", "big")
    assert store.refs.get_head(volume.id).version == 0


def test_a_directory_of_too_many_is_refused_whole(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    top = tmp_path / "many"
    top.mkdir()
    for number in range(32_769):
        os.mknod(top / str(number))
    with pytest.raises(LimitError, match="32768"):
        put(store, volume, top, "many")
    assert store.refs.get_head(volume.id).version == 0
    (top / "0").unlink()
    put(store, volume, top, "many")
    assert head_snapshot(store, volume).totals.files == 32_768


def test_progress_ends_at_the_whole(
    store: Store, volume: VolumeRecord, local: Path, tmp_path: Path
) -> None:
    (local / "sparse").unlink()
    seen: list[Progress] = []
    put_local(store, volume, local, (), report=seen.append)
    assert (seen[-1].files, seen[-1].bytes) == (seen[-1].files_total, seen[-1].bytes_total)
    assert [p.bytes for p in seen] == sorted(p.bytes for p in seen)
    seen.clear()
    get_to_local(
        store, volume, head_snapshot(store, volume), (), tmp_path / "out", report=seen.append
    )
    assert (seen[-1].files, seen[-1].files_total) == (10, 10)


# --- get --------------------------------------------------------------------


def test_a_file_goes_into_a_directory_or_under_another_name(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    publish_files(store, volume, {"d/f": b"1"})
    (tmp_path / "dir").mkdir()
    get(store, volume, "d/f", tmp_path / "dir")
    get(store, volume, "d/f", tmp_path / "new/below/name")
    get_to_local(store, volume, head_snapshot(store, volume), (b"d", b"f"), f"{tmp_path}/made/")
    for place in ("dir/f", "new/below/name", "made/f"):
        assert (tmp_path / place).read_bytes() == b"1"


def test_a_directory_goes_into_one_or_becomes_one(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    publish_files(store, volume, {"d/e/f": b"1", "d/g": b"2"})
    (tmp_path / "dir").mkdir()
    get(store, volume, "d", tmp_path / "dir")
    get(store, volume, "d", tmp_path / "new/name")
    get(store, volume, "/", tmp_path / "whole")
    for place in ("dir/d", "new/name", "whole/d"):
        assert (tmp_path / place / "e/f").read_bytes() == b"1"
        assert (tmp_path / place / "g").read_bytes() == b"2"


def test_what_is_there_is_replaced_only_with_force(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    publish_files(store, volume, {"d/f": b"new", "d/e/g": b"new"})
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    (out / "d/f").write_bytes(b"old")
    (out / "d/mine").write_bytes(b"mine")
    for path in ("d", "/"):
        with pytest.raises(OutputExistsError, match="already exists"):
            get(store, volume, path, out)
    with pytest.raises(OutputExistsError):
        get(store, volume, "d/f", out / "d")
    assert (out / "d/f").read_bytes() == b"old"
    get(store, volume, "d", out, force=True)
    assert (out / "d/f").read_bytes() == b"new"
    assert (out / "d/mine").read_bytes() == b"mine"
    assert sorted(os.listdir(out / "d")) == ["e", "f", "mine"]


def test_a_planted_symlink_leads_nowhere(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    publish_files(store, volume, {"d/e/f": b"evil", "d/g": b"evil"})
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "victim").write_bytes(b"safe")
    (out / "d").mkdir(parents=True)
    (out / "d/e").symlink_to(outside)
    (out / "d/g").symlink_to(outside / "victim")
    with pytest.raises(LocalFileError, match="d/e"):
        get(store, volume, "d", out, force=True)
    assert os.listdir(outside) == ["victim"]
    assert (outside / "victim").read_bytes() == b"safe"
    (out / "d/e").unlink()
    get(store, volume, "d", out, force=True)
    assert not (out / "d/g").is_symlink()
    assert (outside / "victim").read_bytes() == b"safe"


def test_a_symlink_of_the_volume_is_not_followed_by_what_comes_after(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = os.fsencode(outside)
    with Edit(store, volume) as edit:
        link = Entry(b"x", FileKind.SYMLINK, 0o777, size=len(target), inline=target)
        edit.put((b"d",), link)
        edit.commit(CommitNote())
    get(store, volume, "/", tmp_path / "out")
    with Edit(store, volume) as edit:
        edit.remove((b"d",))
        edit.put((b"d", b"f"), make_file())
        edit.commit(CommitNote())
    with pytest.raises(LocalFileError):
        get(store, volume, "/", tmp_path / "out", force=True)
    assert os.listdir(outside) == []


def test_set_user_id_bits_are_dropped_and_devices_skipped(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    with Edit(store, volume) as edit:
        edit.put((b"suid",), make_file(0o6755))
        edit.put((b"fifo",), Entry(b"x", FileKind.FIFO, 0o644))
        edit.put((b"disk",), Entry(b"x", FileKind.BLOCK, 0o644, rdev=8))
        edit.commit(CommitNote())
    result = get(store, volume, "/", tmp_path / "out")
    assert sorted(result.skipped) == ["disk", "fifo"]
    assert stat.S_IMODE((tmp_path / "out/suid").stat().st_mode) == 0o755


def test_hard_links_become_files_of_their_own(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    link_twice(store, volume)
    get(store, volume, "d", tmp_path / "out")
    assert [(tmp_path / "out" / name).read_bytes() for name in ("one", "two")] == [b"hello"] * 2


def test_missing_paths_are_named(store: Store, volume: VolumeRecord, tmp_path: Path) -> None:
    with pytest.raises(NoEntryError, match="no/such"):
        get(store, volume, "no/such", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_says_how_far_it_came(store: Store, volume: VolumeRecord, tmp_path: Path) -> None:
    publish_files(store, volume, {f"{n}/f": b"x" for n in range(3)})
    (tmp_path / "out/2").mkdir(parents=True)
    (tmp_path / "out/2/f").mkdir()
    with pytest.raises(LocalFileError, match="2 files were written"):
        get(store, volume, "/", tmp_path / "out", force=True)
    assert not list((tmp_path / "out").rglob(".volfs-get-*"))


@pytest.mark.damaged
def test_what_cannot_be_read_is_named_and_the_rest_is_written(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    publish_files(store, volume, {"a": b"a", "b": noise(5000), "c": noise(5000, 1)})
    reader = Reader(store.objects_of(volume.id).load_object)
    with Edit(store, volume) as edit:
        entry = edit.get((b"b",))
        lie = replace(entry.extents[0], length=9000)
        edit.put((b"b",), set_content(entry, 9000, extents=(lie,)))
        edit.commit(CommitNote())
    with pytest.raises(DataError, match=r"b: .*all others"):
        get(store, volume, "/", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "c"]
    assert reader.get_path(head_snapshot(store, volume), (b"b",)).size == 9000


def test_many_and_deep_directories(store: Store, volume: VolumeRecord, tmp_path: Path) -> None:
    top = tmp_path / "top"
    for number in range(150):
        (top / f"{number % 7}/{number}").mkdir(parents=True)
        (top / f"{number % 7}/{number}/f").write_bytes(b"%d" % number * 400)
    (top / "/".join("d" * 300)).mkdir(parents=True)
    put(store, volume, top)
    get(store, volume, "/", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(top)


def test_content_goes_to_a_stream(store: Store, volume: VolumeRecord, tmp_path: Path) -> None:
    publish_files(store, volume, {"d/b": b"2", "d/a/x": noise(100_000), "d/c": b"3"})
    with (tmp_path / "out").open("wb") as out:
        write_content(store.objects_of(volume.id), head_snapshot(store, volume), (b"d",), out)
    assert (tmp_path / "out").read_bytes() == noise(100_000) + b"23"


def test_times_beyond_those_that_are_kept_become_the_nearest(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    """An entry has room for the years 1678 to 2262; local file systems for more."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/far").touch()
    os.utime(tmp_path / "d/far", (0, 14_000_000_000))
    os.utime(tmp_path / "d", (0, 14_000_000_000))
    put_local(store, volume, tmp_path / "d", (b"d",))
    get_to_local(store, volume, head_snapshot(store, volume), (b"d",), tmp_path / "out")
    for name in ("out", "out/far"):
        assert (tmp_path / name).stat().st_mtime_ns == (1 << 63) - 1
