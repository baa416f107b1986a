"""What ``volfs://`` promises beyond fsspec's own tests."""

from __future__ import annotations

import io
import multiprocessing
import multiprocessing.connection
import os
import pickle
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import volfs
from volfs.api.filesystem import VolumeFileSystem
from volfs.errors import InvalidError, InvalidPathError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import parse_path
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit


def list_messages(name: str = "data") -> list[str]:
    """The messages of the versions, oldest first."""
    return [each.message for each in reversed(list(volfs.Volume.from_name(name).log()))]


def expire_version(number: int) -> list[int]:
    with volfs.Volume.from_name("data")._opened() as (store, record):
        return list(store.refs.remove_versions(record.id, [number]))


def make_links(**targets: str) -> None:
    """Make symlinks in the volume, by their paths with "__" for "/"."""
    volume = volfs.Volume.from_name("data")
    with volume._opened() as (store, record), Edit(store, record) as edit:
        for path, target in targets.items():
            link = Entry(b"", FileKind.SYMLINK, 0o777, inline=target.encode(), size=len(target))
            edit.put(parse_path(path.replace("__", "/")), link)
        edit.commit(CommitNote("links"))


class TestBatches:
    def test_a_transaction_is_one_version(self, fs: VolumeFileSystem) -> None:
        fs.pipe("data/old/file", b"old")
        before = len(list_messages())
        with fs.transaction:
            fs.pipe("data/new", b"1")
            fs.mv("data/old/file", "data/moved")
            fs.rm("data/old", recursive=True)
            fs.mkdir("data/empty")
            left_open = fs.open("data/left", "wb")
            left_open.write(b"left open")
            with fs.open("data/text", "w") as text:
                text.write("gr\u00fc\u00df")
            assert fs.find("data") == ["data/old/file"]
        assert left_open.closed
        assert list_messages()[before:] == ["fsspec: transaction"]
        assert fs.find("data", withdirs=True) == [
            "data", "data/empty", "data/left", "data/moved", "data/new", "data/text",
        ]  # fmt: skip
        assert fs.cat("data/left") == b"left open"

    def test_a_transaction_that_raises_is_none(self, fs: VolumeFileSystem) -> None:
        fs.pipe("data/kept", b"kept")
        fs.start_transaction()
        fs.pipe("data/half", b"half")
        fs.rm("data/kept")
        open_file = fs.open("data/open", "wb")
        open_file.write(b"x")
        fs.transaction.__exit__(ValueError, ValueError(), None)
        assert open_file.closed
        assert fs.find("data") == ["data/kept"]
        fs.pipe("data/after", b"a write of its own")
        assert fs.cat("data/after") == b"a write of its own"

    def test_a_transaction_is_one_version_of_each_volume(self, fs: VolumeFileSystem) -> None:
        fs.mkdir("other")
        with fs.transaction:
            fs.pipe({"data/a": b"1", "other/b": b"2", "data/c": b"3"})
        assert len(list_messages("data")) == len(list_messages("other")) == 1

    def test_each_call_is_one_version(self, fs: VolumeFileSystem, tmp_path: Path) -> None:
        (tmp_path / "tree" / "below").mkdir(parents=True)
        for name in ("a", "b", "below/c"):
            (tmp_path / "tree" / name).write_text(name)
        fs.put(str(tmp_path / "tree"), "data/tree", recursive=True)
        fs.copy("data/tree", "data/twin", recursive=True)
        fs.mv("data/twin", "data/moved", recursive=True)
        fs.rm("data/tree", recursive=True)
        assert len(list_messages()) == 4
        assert fs.find("data") == ["data/moved/a", "data/moved/b", "data/moved/below/c"]

    def test_threads_that_share_a_file_system(self, fs: VolumeFileSystem) -> None:
        def write(number: int) -> None:
            fs.pipe(f"data/{number}", b"%d" % number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert fs.cat("data/*") == {f"data/{number}": b"%d" % number for number in range(8)}


class TestVersions:
    def test_a_version_by_number_and_tag(self, fs: VolumeFileSystem, store: Path) -> None:
        fs.pipe("data/file", b"one")
        volfs.Volume.from_name("data").tag("first", "1")
        fs.pipe("data/file", b"two")
        for at in ("1", "first", "head~1"):
            with fsspec.open(f"volfs://data/file?at={at}&store={store}") as file:
                assert file.read() == b"one"
        old = fsspec.filesystem("volfs", at=1)
        assert old.cat("data/file") == b"one"
        for change in (
            lambda: old.pipe("data/file", b"three"),
            lambda: old.rm("data/file"),
            lambda: old.mkdir("made"),
            lambda: old.transaction.start(),
        ):
            with pytest.raises(PermissionError, match="an old version cannot be changed"):
                change()
        with pytest.raises(FileNotFoundError, match="no version nine"):
            fsspec.filesystem("volfs", at="nine").cat("data/file")

    def test_an_open_file_stays_as_it_is(self, fs: VolumeFileSystem) -> None:
        content = os.urandom(3_000_000)
        fs.pipe("data/file", content)
        with fs.open("data/file") as file:
            assert file.read(10) == content[:10]
            fs.pipe("data/file", b"short")
            assert expire_version(1) == []
            assert file.read() == content[10:]
            assert pickle.loads(pickle.dumps(fs)).cat("data/file") == b"short"
        assert expire_version(1) == [1]

    def test_what_was_read_together_is_of_one_version(
        self, fs: VolumeFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process commits between any two files."""
        fs.pipe({f"data/{name}": b"0" for name in "abc"})
        other = VolumeFileSystem(skip_instance_cache=True)
        get_file = VolumeFileSystem.get_file
        numbers = iter(range(1, 9))

        def commit_meanwhile(*args: object, **kw: object) -> None:
            number = next(numbers)
            other.pipe({f"data/{name}": b"%d" % number for name in "abc"})
            get_file(*args, **kw)  # type: ignore[arg-type]

        monkeypatch.setattr(VolumeFileSystem, "get_file", commit_meanwhile)
        fs.get("data/", str(tmp_path / "out"), recursive=True)
        assert {each.read_bytes() for each in (tmp_path / "out").iterdir()} == {b"0"}


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["a b", "what?", "x?at", "at=1", "a#b%20c", "\u00fc", "\udcff", "-", ".hidden", "a:b"],
    )
    def test_names(self, fs: VolumeFileSystem, name: str) -> None:
        fs.pipe_file(f"data/dir/{name}", b"content")
        assert fs.cat_file(f"volfs://data/dir/{name}") == b"content"
        assert fs.ls("data/dir", detail=False) == [f"data/dir/{name}"]
        assert fs.info(f"/data//dir/{name}/")["name"] == f"data/dir/{name}"

    def test_names_that_are_none(self, fs: VolumeFileSystem) -> None:
        for path in ("data/../x", "data/a\0b", "data/" + "x" * 256):
            with pytest.raises(InvalidPathError):
                fs.pipe_file(path, b"")
        with pytest.raises(InvalidError, match="given twice"):
            fsspec.open("volfs://data/a?at=1&at=2")
        for path in ("none/file", "data/none", "data/none/below"):
            with pytest.raises(FileNotFoundError):
                fs.cat_file(path)
            assert not fs.exists(path)
        with pytest.raises(FileNotFoundError):
            fs.pipe_file("none/file", b"")
        assert fs.ls("", detail=False) == ["data"]

    def test_files_and_directories_in_the_wrong_place(self, fs: VolumeFileSystem) -> None:
        fs.pipe("data/file", b"x")
        fs.mkdir("data/dir")
        for call, error in (
            (lambda: fs.cat_file("data/dir"), IsADirectoryError),
            (lambda: fs.cat_file("data"), IsADirectoryError),
            (lambda: fs.pipe_file("data/dir", b""), IsADirectoryError),
            (lambda: fs.pipe_file("data/file/x", b""), NotADirectoryError),
            (lambda: fs.mkdir("data/file"), FileExistsError),
            (lambda: fs.makedirs("data/file", exist_ok=True), FileExistsError),
            (lambda: fs.makedirs("data/dir"), FileExistsError),
            (lambda: fs.mkdir("data/a/b", create_parents=False), FileNotFoundError),
            (lambda: fs.mkdir("data"), FileExistsError),
            (lambda: fs.rm("data/dir"), IsADirectoryError),
            (lambda: fs.rm("data/none"), FileNotFoundError),
            (lambda: fs.rm("data", recursive=True), PermissionError),
            (lambda: fs.rmdir("data/file"), NotADirectoryError),
        ):
            with pytest.raises(error):
                call()
        assert len(list_messages()) == 2
        fs.makedirs("data/dir", exist_ok=True)
        fs.makedirs("data", exist_ok=True)
        fs.rmdir("data/dir")
        assert fs.find("data", withdirs=True) == ["data", "data/file"]

    def test_an_exclusive_file(self, fs: VolumeFileSystem) -> None:
        """Of two that make it at the same time, one wins."""
        first, second = fs.open("data/file", "xb"), fs.open("data/file", "xb")
        first.write(b"first")
        second.write(b"second")
        first.close()
        with pytest.raises(FileExistsError):
            second.close()
        with pytest.raises(FileExistsError):
            fs.open("data/file", "xb")
        assert fs.cat_file("data/file") == b"first"


class TestFacts:
    def test_facts(self, fs: VolumeFileSystem) -> None:
        fs.pipe("data/file", b"12345")
        facts = fs.info("data/file")
        assert (facts["size"], facts["type"], facts["mode"]) == (5, "file", 0o644)
        assert datetime.now(UTC) - fs.modified("data/file") < timedelta(minutes=5)
        assert fs.info("")["type"] == fs.info("data")["type"] == "directory"
        assert fs.ls("data/file") == [facts]
        assert fs.du("data") == 5
        time = facts["mtime"]
        fs.touch("data/file", truncate=False)
        assert fs.info("data/file")["mtime"] > time
        assert fs.cat("data/file") == b"12345"
        fs.touch("data/file")
        assert fs.size("data/file") == 0

    def test_writing_keeps_mode_and_owner(self, fs: VolumeFileSystem) -> None:
        volume = volfs.Volume.from_name("data")
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(b"#!/bin/sh"), "script", mode=0o750)
        with fs.open("data/script", "ab") as file:
            file.write(b"\necho")
        assert volume.stat("script").mode == 0o750
        assert fs.cat("data/script") == b"#!/bin/sh\necho"

    def test_ranges(self, fs: VolumeFileSystem) -> None:
        content = os.urandom(2_500_000)
        fs.pipe("data/file", content)
        for start, end in ((0, 10), (-5, None), (None, -2_499_000), (1_048_570, 1_048_580), (9, 3)):
            assert fs.cat_file("data/file", start, end) == content[start:end]
        assert fs.cat_ranges(["data/file"] * 2, [0, 2], [2, 4]) == [content[:2], content[2:4]]
        assert fs.tail("data/file", 7) == content[-7:]


class TestSymlinks:
    @pytest.fixture
    def linked(self, fs: VolumeFileSystem) -> VolumeFileSystem:
        fs.pipe("data/dir/file", b"content")
        make_links(
            to_file="dir/file",
            to_dir="./dir",
            dir__up="../dir/file",
            above="../../dir/file",
            outside="/etc/passwd",
            circle="circle",
            nowhere="none",
        )
        return fs

    def test_links_are_followed_inside_the_volume(self, linked: VolumeFileSystem) -> None:
        fs = linked
        for path in ("to_file", "to_dir/file", "dir/up", "above", "to_dir/up"):
            assert fs.cat_file(f"data/{path}") == b"content"
        facts = fs.info("data/to_file")
        assert (facts["size"], facts["type"], facts["destination"]) == (7, "file", "dir/file")
        assert fs.isdir("data/to_dir")
        assert fs.ls("data/to_dir", detail=False) == ["data/to_dir/file", "data/to_dir/up"]
        for path in ("outside", "nowhere", "circle"):
            assert fs.info(f"data/{path}")["type"] == "link"
            with pytest.raises((FileNotFoundError, InvalidPathError)):
                fs.cat_file(f"data/{path}")
        assert "data/to_dir/file" not in fs.find("data")

    def test_writing_through_a_link(self, linked: VolumeFileSystem) -> None:
        linked.pipe("data/to_file", b"new")
        assert linked.cat("data/dir/file") == b"new"
        assert linked.info("data/to_file")["islink"]
        linked.rm("data/to_file")
        assert linked.cat("data/dir/file") == b"new"


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(st.sampled_from([0, 1, 700, 1024, 1025, 65_536, 1 << 20, 1_500_000]), max_size=5)
)
def test_appending_is_writing(parts: list[int]) -> None:
    """Each append goes on exactly at the end, whatever windows it meets."""
    with tempfile.TemporaryDirectory() as place:
        fs = VolumeFileSystem(f"{place}/store", skip_instance_cache=True)
        fs.mkdir("data")
        content = b""
        for number, length in enumerate(parts):
            part = os.urandom(length)
            with fs.open("data/file", "ab" if number else "wb") as file:
                assert file.tell() == len(content)
                file.write(part)
            content += part
            assert fs.cat_file("data/file") == content
            assert fs.size("data/file") == len(content)
        fs._access._client.close()


def _read_in_child(fs: VolumeFileSystem, sending: multiprocessing.connection.Connection) -> None:
    sending.send(fs.cat_file("data/file"))


def test_a_forked_child_reads(fs: VolumeFileSystem) -> None:
    fs.pipe("data/file", b"content")
    assert fs.cat("data/file") == b"content"
    receiving, sending = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_read_in_child, args=(fs, sending))
    child.start()
    assert receiving.recv() == b"content"
    child.join()
    assert child.exitcode == 0
