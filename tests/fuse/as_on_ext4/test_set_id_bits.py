"""Set-id bits go on a mount with what takes them on ext4."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuse.as_on_ext4.users import Become, as_user, attempt, libc

pytestmark = pytest.mark.fuse


# What a user does with a file, or with a descriptor of it that root has opened.
def truncate_path(path: str, _: int) -> None:
    os.truncate(path, 2)


def truncate_open(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.ftruncate(descriptor, 2)


def truncate_roots(_: str, descriptor: int) -> None:
    os.ftruncate(descriptor, 2)


def open_truncating(path: str, _: int) -> None:
    os.open(path, os.O_WRONLY | os.O_TRUNC)


def write(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY), b"x")


def write_roots(_: str, descriptor: int) -> None:
    os.write(descriptor, b"x")


def write_after_root(_: str, descriptor: int) -> None:
    """Whoever wrote last time counts for nothing."""
    os.pwrite(descriptor, b"y", 1)


def append(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b"x")


def write_direct(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
    with mmap.mmap(-1, 4096) as page:
        os.writev(descriptor, [page])


def send(path: str, descriptor: int) -> None:
    target = os.open(path, os.O_WRONLY)
    os.sendfile(target, descriptor, 0, 3)


def store(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[0] = 120
        mapped.flush()


def store_roots(_: str, descriptor: int) -> None:
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[0] = 120
        mapped.flush()


def write_nothing(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY), b"")


def chown_to_same(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, 1000, -1))


def chown_group(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, -1, os.getegid()))


def chown_nothing(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, -1, -1))


Change = Callable[[str, int], None]
CHANGES: tuple[Change, ...] = (
    *(truncate_path, truncate_open, truncate_roots, open_truncating, write, write_roots),
    *(write_after_root, append, write_direct, send, store, store_roots, write_nothing),
    *(chown_to_same, chown_group, chown_nothing),
)
BY_DESCRIPTOR = (truncate_roots, write_roots, write_after_root, send, store_roots)


def set_capabilities(keep: Callable[[int], int]) -> None:
    """Of this process, the effective ones: ``keep`` says which of the permitted ones."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0], sets[3] = keep(sets[1]), 0
    assert libc.capset(header, sets) == 0


def without_fsetid() -> None:
    set_capabilities(lambda permitted: permitted & ~(1 << 4))


def with_fsetid() -> None:
    set_capabilities(lambda permitted: permitted & 1 << 4)


def in_a_namespace() -> None:
    """Where it has all capabilities, and nothing of this machine's belongs to it."""
    assert libc.unshare(0x10000000) == 0


CALLERS: tuple[tuple[int, list[int], Become], ...] = (
    (0, [0], None), (1000, [1000], None), (1000, [77], None), (1000, [1000, 77], None),
    (1001, [1001], None), (1001, [77], None), (0, [0], without_fsetid),
    (1000, [1000], with_fsetid), (1000, [77], in_a_namespace),
)  # fmt: skip
MODES = (0o6777, 0o4777, 0o2777, 0o2767, 0o2766, 0o6766, 0o1777, 0o2666)


@pytest.mark.parametrize("change", CHANGES)
def test_set_id_bits_go_as_on_ext4(each_alone: Path, plain: Path, change: Change) -> None:
    for who in CALLERS:
        mine, theirs = (change_as(place, change, who) for place in (each_alone, plain))
        assert mine == theirs, f"changed by {who}"


def change_as(place: Path, change: Change, who: tuple[int, list[int], Become]) -> dict[str, str]:
    """The modes before and afterwards, as who asks for the mode alone is told it."""
    files: dict[str, int] = {}
    for mode in MODES:
        path = place / f"{mode:o}"
        path.write_bytes(b"12345")
        os.chown(path, 1000, 77)
        path.chmod(mode)
        files[path.name] = os.open(path, os.O_RDWR) if change in BY_DESCRIPTOR else -1
        if change is write_after_root:
            os.write(files[path.name], b"x")

    def run() -> None:
        for name, descriptor in files.items():
            change(name, descriptor)

    uid, gids, become = who
    as_user(uid, gids, place, run, become)
    for descriptor in files.values():
        if descriptor >= 0:
            os.close(descriptor)
    return {name: f"{read_mode(place / name):o}" for name in files}


def read_mode(path: Path) -> int:
    """By statx(2), of the mode and nothing else: what the kernel has is not asked for anew."""
    answer = ctypes.create_string_buffer(256)
    assert libc.statx(-100, os.fsencode(path), 0, 2, answer) == 0
    return int.from_bytes(answer.raw[28:30], "little")
