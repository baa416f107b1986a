"""Files that appear whole, and bytes that are all written, however little is taken at a time."""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.system.children import ask_child
from volfs.system.files import (
    remove_file,
    replace_file,
    spare_name,
    sync_directory,
    write_all,
    write_out,
    write_parts,
    written_beside,
)


class Sink:
    """Takes as much at a time as ``sizes`` say, and all of what comes after those."""

    def __init__(self, sizes: list[int | None]) -> None:
        self.sizes = iter(sizes)
        self.taken = b""

    def write(self, data: memoryview) -> int | None:
        size = next(self.sizes, len(data))
        self.taken += data[: size or 0]
        return None if size is None else min(size, len(data))


@given(st.binary(max_size=99), st.lists(st.integers(1, 9)))
def test_every_byte_is_written_out(data: bytes, sizes: list[int]) -> None:
    sink = Sink([*sizes])
    write_out(sink, data)
    assert sink.taken == data


@pytest.mark.parametrize("size", [0, None])
def test_what_takes_nothing_is_an_error(size: int | None) -> None:
    sink = Sink([2, size])
    with pytest.raises(OSError, match="no progress"):
        write_out(sink, b"four")
    assert sink.taken == b"fo"


@given(st.lists(st.binary(max_size=30), max_size=9), st.integers(0, 40))
def test_every_part_is_written(parts: list[bytes], offset: int) -> None:
    file = os.memfd_create("parts")
    try:
        write_parts(file, parts, offset)
        whole = b"".join(parts)
        assert os.pread(file, 1 << 10, offset) == whole
        write_all(file, memoryview(whole)[::1], 0)
        assert os.pread(file, len(whole), 0) == whole
        assert os.lseek(file, 0, os.SEEK_CUR) == 0
        write_all(file, b"next")
        assert os.lseek(file, 0, os.SEEK_CUR) == 4
    finally:
        os.close(file)


@pytest.mark.parametrize("kind", ["all", "parts", "appended"])
def test_a_short_write_is_followed_by_the_error_that_explains_it(tmp_path: Path, kind: str) -> None:
    """The limit on the size of files makes the kernel write less than it is given."""
    path = tmp_path / "file"
    path.touch()

    def write() -> bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        descriptor = os.open(path, os.O_WRONLY)
        try:
            if kind == "parts":
                write_parts(descriptor, [b"12345", b"6789012345", b"x"], 0)
            else:
                write_all(descriptor, b"123456789012345x", 0 if kind == "all" else None)
        except OSError as error:
            return errno.errorcode[error.errno or 0].encode()
        return b"nothing"

    assert ask_child(write) == b"EFBIG"
    assert path.read_bytes() == b"1234567890"


# --- replacing ----------------------------------------------------------------


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"first")
    replace_file(path, (part for part in (b"sec", memoryview(b"ond"))))
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"second", [path])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"before")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    def refuse(descriptor: int) -> None:
        raise PermissionError(descriptor)

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, broken())
    with pytest.raises(PermissionError):
        replace_file(path, b"after", made=refuse)
    with suppress(ZeroDivisionError), written_beside(path, b"new") as new:
        assert new.read_bytes() == b"new"
        raise ZeroDivisionError
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"before", [path])


def test_nobody_sees_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    states = [bytes([65 + number]) * 100_000 for number in range(4)]
    replace_file(path, states[0])

    def write(data: bytes) -> None:
        for _ in range(20):
            replace_file(path, data, durable=False)

    writers = [threading.Thread(target=write, args=(data,)) for data in states]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in states
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_dead_one_left_beside_is_no_hindrance_and_no_way_out(tmp_path: Path) -> None:
    path, others = tmp_path / "file", tmp_path / "others"
    others.write_bytes(b"untouched")
    (tmp_path / "file.new").symlink_to(others)
    replace_file(path, b"data", beside="file.new")
    assert (path.read_bytes(), others.read_bytes()) == (b"data", b"untouched")
    assert not path.is_symlink()
    assert not (tmp_path / "file.new").exists()


def test_a_long_name_has_room_for_another_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    replace_file(path, b"data")
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_mode_is_what_is_asked_for_and_the_umask_lets(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "file", b"", mode=0o666)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_a_new_file_may_be_linked_in_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with written_beside(path, b"data") as new:
        os.link(new, path)
    assert (path.read_bytes(), path.stat().st_nlink) == (b"data", 1)


def test_a_spare_name_is_gone_at_the_end(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    try:
        with spare_name(at, b".new-") as name:
            (tmp_path / "file").touch()
            os.link("file", name, src_dir_fd=at, dst_dir_fd=at)
            # Onto another name of the same file: nothing happens.
            os.rename(name, b"file", src_dir_fd=at, dst_dir_fd=at)
        assert os.listdir(at) == ["file"]
    finally:
        os.close(at)


def test_a_name_is_removed_if_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    remove_file(path)
    remove_file(path)
    assert not path.exists()
    with pytest.raises(IsADirectoryError):
        remove_file(tmp_path)


def test_only_a_directory_has_names_to_sync(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")
