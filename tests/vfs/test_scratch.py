"""Scratch: what was flushed stays, is under sums, and costs no more than what changes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import trio

from tests.harness.rig import Rig
from tests.vfs.conftest import NewRig
from volfs.errors import DamagedObjectError
from volfs.model.extents import STRETCH
from volfs.model.names import Path as VolumePath
from volfs.vfs.thread_work import write_flush

PAGE = 4096
DATA = random.Random(11).randbytes(1 << 20)


def page(number: int) -> bytes:
    return random.Random(number).randbytes(PAGE)


def allocated(directory: Path) -> int:
    """Bytes that files have on the disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir())


def can_punch(directory: Path) -> bool:
    return os.statvfs(directory).f_frsize <= PAGE


def flip(rig: Rig, path: VolumePath, at: int) -> None:
    """What the disk may do to a byte of a file that is in scratch."""
    extents = rig.get(path).extents  # type: ignore[attr-defined]
    piece = next(extents.iter_pieces(at, at + 1))
    with (rig.scratch.directory / f"{piece.source:08d}.arena").open("r+b") as file:
        file.seek(piece.offset)
        byte = file.read(1)[0]
        file.seek(piece.offset)
        file.write(bytes((byte ^ 4,)))


# --- sums -------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 5000, len(DATA) - 1])
def test_a_flipped_bit_is_never_read(rig: Rig, new_rig: NewRig, at: int) -> None:
    rig.write((b"f",), DATA)
    rig.write((b"whole",), DATA)
    rig.flush()
    flip(rig, (b"f",), at)
    for _ in range(2):
        with pytest.raises(DamagedObjectError, match="damaged at"):
            rig.read((b"f",))
        assert rig.read((b"whole",)) == DATA
        rig = new_rig(again=rig)


def test_a_flipped_bit_is_never_published(rig: Rig) -> None:
    """The commit names the file; without it, all the rest is published."""
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), DATA)
    rig.write((b"g",), DATA)
    rig.flush()
    flip(rig, (b"d", b"f"), 70_000)
    with pytest.raises(DamagedObjectError, match="d/f: scratch arena 1: damaged at"):
        rig.commit()
    assert rig.read((b"g",)) == DATA
    rig.write((b"d", b"f"), DATA)
    assert rig.commit().head.version == 1
    assert rig.read((b"d", b"f")) == DATA


def test_a_flip_below_bytes_that_were_appended_is_found(rig: Rig, new_rig: NewRig) -> None:
    """They go into the same block, whose sum is made anew."""
    rig.write((b"f",), b"a" * 100)
    rig.flush()
    flip(rig, (b"f",), 50)
    rig.write((b"f",), b"b" * 100, 100)
    rig.flush()
    with pytest.raises(DamagedObjectError):
        new_rig(again=rig).read((b"f",))


def test_what_was_not_flushed_is_no_damage(rig: Rig, new_rig: NewRig) -> None:
    """Bytes behind the flushed ones of a block, and others in their place."""
    rig.write((b"log",), b"a" * 100)
    rig.write((b"f",), DATA)
    rig.flush()
    rig.write((b"log",), b"b" * 100, 100)
    rig.write((b"f",), page(1), PAGE)
    again = new_rig(again=rig)
    assert again.read((b"log",)) == b"a" * 100
    assert again.read((b"f",)) == DATA


def test_a_flush_that_is_under_way_is_not_written_over(rig: Rig, new_rig: NewRig) -> None:
    rig.write((b"f",), b"old" * 3000)
    flush = rig.catalog.prepare(rig.state)
    rig.write((b"f",), b"new" * 3000)
    rig.scratch.settle(write_flush(rig.scratch, rig.catalog, flush))
    assert rig.read((b"f",)) == b"new" * 3000
    assert new_rig(again=rig).read((b"f",)) == b"old" * 3000


@pytest.mark.parametrize("between", ["flush", "commit"])
def test_a_file_that_gets_its_name_again_is_whole(
    rig: Rig, other: Rig, new_rig: NewRig, between: str
) -> None:
    """What was written to it meanwhile has sums, though nothing recorded it."""
    rig.write((b"f",), DATA)
    rig.commit()
    other.reload()
    handle = other.open((b"f",))
    rig.write((b"f",), b"theirs", 10)
    rig.commit()
    trio.run(other.committer.follow)
    other.flush()
    other.write_handle(handle, 0, DATA[::-1])
    other.flush()
    if between == "commit":
        other.write((b"g",), DATA)
        other.commit()
    file = other.files.handle(handle).file
    other.settle(other.names.put_back, file)
    assert file.parent is not None
    other.flush()
    assert new_rig(again=other).read((b"f",)) == DATA[::-1]


def test_hot_bytes_are_written_over_in_place(rig: Rig) -> None:
    """A program that writes one place again and again takes its room once a flush."""
    for number in range(100):
        rig.write((b"f",), page(number))
    arena = rig.scratch.directory / "00000001.arena"
    assert arena.stat().st_size == PAGE
    rig.flush()
    rig.write((b"f",), page(1))
    assert arena.stat().st_size == 2 * PAGE


def test_all_of_it_survives_again_and_again(rig: Rig, new_rig: NewRig) -> None:
    """Random writes, cuts and flushes, failed ones and lives: what was flushed is there."""
    rng, expected = random.Random(5), bytearray()
    for _ in range(40):
        for _ in range(rng.randrange(12)):
            at, data = rng.randrange(200_000), DATA[: rng.choice((7, 100, PAGE, 50_000))]
            expected.extend(bytes(max(0, at - len(expected))))
            expected[at : at + len(data)] = data
            rig.write((b"f",), data, at)
            if rng.random() < 0.2:
                size = rng.randrange(len(expected) + 10_000)
                rig.set((b"f",), size=size)
                expected[:] = expected[:size].ljust(size, b"\0")
        if rng.random() < 0.3:
            rig.catalog.give_back(rig.state, rig.catalog.prepare(rig.state))
        rig.flush()
        if rng.random() < 0.4:
            rig = new_rig(again=rig)
        assert rig.find((b"f",)) is None or rig.read((b"f",)) == expected


# --- cost -------------------------------------------------------------------


def test_a_flush_costs_what_changed(rig: Rig) -> None:
    """A page of a file in 10,000 pieces: a few rows, a few KiB, whatever the file has."""
    rig.strict = False
    places = random.Random(2).sample(range(20_000), 10_000)
    for place in places:
        rig.write((b"f",), page(place % 7), 2 * place * PAGE)
    assert len(rig.get((b"f",)).extents.pieces) >= 10_000  # type: ignore[attr-defined]
    rig.flush()
    rig.write((b"f",), page(1), 2 * places[5] * PAGE)
    flush = rig.catalog.prepare(rig.state)
    summed = write_flush(rig.scratch, rig.catalog, flush)
    rig.scratch.settle(summed)
    assert [key[:1] for key, _ in flush.records] == [b"i", b"p", b"b"]
    assert sum(len(key) + len(value or b"") for key, value in flush.records) < 4096
    assert sum(len(each.sums) for each in summed) <= 2
    assert not flush.dropped


def test_a_long_piece_is_in_one_record(rig: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    rig.set((b"f",), size=1 << 39)
    rig.write((b"f",), b"x", (1 << 39) - 10)
    flush = rig.catalog.prepare(rig.state)
    assert len(flush.records) < 8
    rig.catalog.give_back(rig.state, flush)


@pytest.mark.parametrize("length", [PAGE, 100])
def test_garbage_stays_bounded(rig: Rig, new_rig: NewRig, length: int) -> None:
    """A file rewritten in random places, each made durable, as a database does for hours."""
    if not can_punch(rig.scratch.directory):
        pytest.skip("the file system has larger blocks")
    rig.strict = False
    rng, size = random.Random(4), 1 << 19
    expected = bytearray(DATA[:size])
    rig.write((b"f",), bytes(expected))
    for number in range(900):
        at = rng.randrange(size // PAGE) * PAGE + rng.randrange(0, PAGE - length + 1, 10)
        expected[at : at + length] = data = page(number)[:length]
        rig.write((b"f",), data, at)
        if number % 4 == 0:
            rig.flush()
        if number % 150 == 149:
            rig.flush()
            rig = new_rig(again=rig)
            rig.strict = False
    rig.flush()
    assert allocated(rig.scratch.directory) <= 2 * size
    assert len(rig.get((b"f",)).extents.pieces) <= size // PAGE  # type: ignore[attr-defined]
    assert rig.read((b"f",)) == expected


def test_room_of_what_was_removed_is_given_back(rig: Rig) -> None:
    if not can_punch(rig.scratch.directory):
        pytest.skip("the file system has larger blocks")
    for number in range(50):
        rig.write((b"f%d" % number,), DATA[: number * 1000])
    rig.flush()
    for number in range(50):
        rig.unlink((b"f%d" % number,))
    rig.forget()
    rig.flush()
    assert allocated(rig.scratch.directory) == 0


def test_room_is_given_back_after_commits_that_failed(rig: Rig) -> None:
    """While one is under way its arenas stay as they are; then not any more."""
    if not can_punch(rig.scratch.directory):
        pytest.skip("the file system has larger blocks")
    rig.write((b"f",), DATA)
    rig.flush()

    def fail() -> None:
        rig.write((b"f",), DATA[::-1])
        rig.flush()
        assert allocated(rig.scratch.directory) >= 2 * len(DATA)
        raise InterruptedError

    for _ in range(3):
        with pytest.raises(InterruptedError):
            rig.commit(meanwhile=fail)
        rig.flush()
        assert allocated(rig.scratch.directory) <= len(DATA) + STRETCH
    trio.run(rig.committer.flusher.flush)
    assert rig.read((b"f",)) == DATA[::-1]
