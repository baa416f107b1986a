"""Staged bytes against a bytearray, also as another process finds them after a death."""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.bucketfs.names import Facts
from volfs.bucketfs.staged import JOURNAL, Staged, create_staged, load_staged
from volfs.bucketfs.uploads import PART, choose_part, make_source
from volfs.errors import DamagedObjectError, FileTooLargeError, LocalFileError

BASE = bytes(range(1, 256)) * 4


def read(staged: Staged, base: bytes) -> bytes:
    source = make_source(staged, lambda offset, length: base[offset : offset + length])
    half = source.size // 2
    return bytes(source.read(0, half) + source.read(half, source.size))


@settings(max_examples=80)
@given(st.integers(0, 1 << 32), st.booleans())
def test_bytes_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, has_base: bool
) -> None:
    chance, place = random.Random(seed), tmp_path_factory.mktemp("staged")
    base = BASE if has_base else b""
    facts = Facts(len(base), 7, '"etag"') if has_base else None
    staged = create_staged(place / "1", "key", facts)
    model = bytearray(base)
    for _ in range(30):
        offset = chance.randint(0, 1500)
        if chance.random() < 0.2:
            staged.truncate(offset)
            model = model[:offset] + bytes(max(0, offset - len(model)))
        else:
            data = chance.randbytes(chance.randint(1, 200))
            staged.write(offset, data)
            model += bytes(max(0, offset - len(model)))
            model[offset : offset + len(data)] = data
        if chance.random() < 0.1:
            staged.rename(f"key-{seed}")
        if chance.random() < 0.1:  # it is uploaded: what it lies over is what it was
            base = read(staged, base)
            staged.settle(Facts(len(base), 8, '"new"'), staged.stamp)
            assert not staged.is_dirty
        assert read(staged, base) == model
        found = load_staged(place / "1")
        assert read(found, base) == model
        assert (found.is_dirty, found.about) == (staged.is_dirty, staged.about)
        found.close()
    staged.remove()
    assert not list(place.iterdir())


def test_a_journal_that_was_cut_off_says_what_it_can(tmp_path: Path) -> None:
    staged = create_staged(tmp_path / "1", "key", Facts(len(BASE), 7, '"etag"'))
    staged.write(3, b"first")
    journal = (tmp_path / "1").with_suffix(JOURNAL)
    whole = journal.read_bytes()
    staged.write(100, b"second")
    journal.write_bytes(journal.read_bytes()[: len(whole) + 5])
    assert read(load_staged(tmp_path / "1"), BASE) == BASE[:3] + b"first" + BASE[8:]
    journal.write_bytes(whole[:4])
    with pytest.raises(DamagedObjectError):
        load_staged(tmp_path / "1")


def test_no_object_is_larger_than_services_take(tmp_path: Path) -> None:
    staged = create_staged(tmp_path / "1", "key", None)
    with pytest.raises(FileTooLargeError):
        staged.truncate((5 << 40) + 1)
    with pytest.raises(FileTooLargeError):
        staged.write(5 << 40, b"x")


@given(st.integers(1, 5 << 40))
def test_an_object_has_few_enough_parts(size: int) -> None:
    part = choose_part(size)
    assert part >= PART
    assert -(-size // part) <= 10_000


def test_what_a_failed_write_left_behind_the_end_is_gone(tmp_path: Path) -> None:
    """The disk takes a part of a write and refuses the rest. Then a write leaves a hole there."""
    staged = create_staged(tmp_path / "1", "key", None)
    staged.write(0, b"begin")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(LocalFileError):
            staged.write(5, b"x" * 4000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    staged.write(3000, b"end")
    assert read(staged, b"") == b"begin" + bytes(2995) + b"end"
    found = load_staged(tmp_path / "1")
    assert read(found, b"") == b"begin" + bytes(2995) + b"end"
    found.close()
    staged.remove()


def test_bytes_that_are_only_partly_in_memory_are_not_ready(tmp_path: Path) -> None:
    """The kernel then gives the first bytes alone, and the others must not be taken for zeros."""
    size = 4 << 20
    data = os.urandom(size)
    staged = create_staged(tmp_path / "1", "key", None)
    staged.write(0, data)
    with (tmp_path / "1.data").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 1 << 20, size, os.POSIX_FADV_DONTNEED)
    for start, end in ((0, size), (0, 2 << 20), (1 << 20, size), (0, 4096)):
        ready = staged.read_ready(start, end)
        assert ready in (None, data[start:end])
    assert staged.read(0, size) == data
    assert staged.read_ready(0, size) == data
    staged.truncate(size + 10)
    assert staged.read_ready(size - 1, size + 5) == data[-1:] + bytes(5)
    staged.remove()
