"""The interval map against a bytearray."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.model.extents import BASE, ZERO, ExtentMap, Piece

SIZE = 48
WRITE = st.tuples(st.just("write"), st.integers(0, SIZE), st.integers(1, 16), st.integers(1, 3))
TRUNCATE = st.tuples(st.just("truncate"), st.integers(0, SIZE), st.just(0), st.just(0))
REBASE = st.tuples(st.just("rebase"), st.just(0), st.just(0), st.just(0))
SEAL = st.tuples(st.just("seal"), st.just(0), st.just(0), st.just(0))
STEPS = st.lists(WRITE | WRITE | TRUNCATE | SEAL | REBASE, max_size=24)


class Checked:
    """An ExtentMap and the bytes it stands for: arenas are appended to, like scratch."""

    def __init__(self, base: bytes) -> None:
        self.base = base
        self.map = ExtentMap.of_base(len(base))
        self.expected = bytearray(base)
        self.arenas = {1: bytearray(), 2: bytearray(), 3: bytearray()}
        self.sealed: bytes | None = None
        self.counter = 0

    def write(self, start: int, length: int, arena: int) -> None:
        self.counter += 1
        data = bytes([self.counter % 255 + 1]) * length
        offset = len(self.arenas[arena])
        self.arenas[arena] += data
        before = self.covered(start, start + length)
        replaced = self.map.write(start, start + length, arena, offset)
        assert merged(replaced) == before
        if start > len(self.expected):
            self.expected.extend(bytes(start - len(self.expected)))
        self.expected[start : start + length] = data

    def truncate(self, size: int) -> None:
        before = self.covered(size, self.map.size)
        assert merged(self.map.truncate(size)) == before
        del self.expected[size:]
        self.expected.extend(bytes(size - len(self.expected)))

    def seal(self) -> None:
        """What a commit takes; from now on other arenas are written, as after a real seal."""
        if self.sealed is None:
            self.sealed = self.read_all()
            self.sealed_arenas = self.arenas
            self.sealed_map = self.map.copy()
            self.arenas = {key + 3: bytearray() for key in self.arenas}

    def rebase(self) -> None:
        """The commit is done: what was sealed is the base."""
        if self.sealed is None:
            return
        self.map.rebase(self.sealed_arenas.keys(), self.sealed_map)
        self.base, self.sealed = self.sealed, None
        self.arenas = {key - 3: data for key, data in self.arenas.items()}
        self.map.pieces = [
            p if p.source == BASE else p._replace(source=p.source - 3) for p in self.map.pieces
        ]

    def covered(self, start: int, end: int) -> list[Piece]:
        """The stored pieces inside a range, by a look at each byte."""
        found = [
            Piece(at, at + 1, p.source, p.offset + at - p.start)
            for at in range(start, min(end, self.map.size))
            for p in self.map.pieces
            if p.start <= at < p.end
        ]
        return merged(found)

    def bytes_of(self, piece: Piece) -> bytes:
        length = piece.end - piece.start
        if piece.source == ZERO:
            return bytes(length)
        if piece.source == BASE:
            assert piece.offset == piece.start
            data = self.base
        else:
            sealed = self.sealed_arenas if self.sealed is not None else {}
            data = bytes((self.arenas | sealed)[piece.source])
        found = data[piece.offset : piece.offset + length]
        assert len(found) == length
        return found

    def read(self, start: int, end: int) -> bytes:
        pieces = list(self.map.iter_pieces(start, end))
        at = start
        for piece in pieces:
            assert piece.start == at < piece.end <= end
            at = piece.end
        assert at == end
        return b"".join(map(self.bytes_of, pieces))

    def read_all(self) -> bytes:
        return self.read(0, self.map.size)

    def check(self) -> None:
        pieces = self.map.pieces
        assert self.map.size == len(self.expected)
        assert all(p.start < p.end <= self.map.size and p.source >= BASE for p in pieces)
        for a, b in pairwise(pieces):
            assert a.end <= b.start
        assert self.read_all() == self.expected
        assert self.map.stored == sum(p.end - p.start for p in pieces)


def merged(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and piece.continues(joined[-1]):
            last = joined.pop()
            piece = Piece(last.start, piece.end, last.source, last.offset)
        joined.append(piece)
    return joined


@given(st.integers(0, SIZE), STEPS)
@settings(max_examples=150)
def test_equals_a_bytearray(base_size: int, steps: list[tuple[str, int, int, int]]) -> None:
    checked = Checked(bytes(i % 100 + 100 for i in range(base_size)))
    for kind, at, length, arena in steps:
        if kind == "write":
            checked.write(at, length, arena if checked.sealed is None else arena + 3)
        elif kind == "truncate":
            checked.truncate(at)
        elif kind == "seal":
            checked.seal()
        else:
            checked.rebase()
        checked.check()


@given(st.integers(0, SIZE), STEPS, st.integers(0, SIZE), st.integers(0, SIZE))
def test_any_range_reads_as_the_whole(
    base_size: int, steps: list[tuple[str, int, int, int]], a: int, b: int
) -> None:
    checked = Checked(bytes(range(100, 100 + base_size)))
    for kind, at, length, arena in steps:
        if kind == "write":
            checked.write(at, length, arena)
        elif kind == "truncate":
            checked.truncate(at)
    start, end = sorted((min(a, checked.map.size), min(b, checked.map.size)))
    assert checked.read(start, end) == checked.expected[start:end]


def test_sequential_writes_stay_one_piece() -> None:
    extents = ExtentMap(0)
    for start in range(0, 1000, 10):
        assert extents.write(start, start + 10, 7, start + 500) == []
    assert extents.pieces == [Piece(0, 1000, 7, 500)]


def test_a_write_joins_both_neighbours() -> None:
    extents = ExtentMap(0)
    extents.write(0, 10, 1, 0)
    extents.write(20, 30, 1, 20)
    extents.write(10, 20, 1, 10)
    assert extents.pieces == [Piece(0, 30, 1, 0)]


def test_neighbours_of_another_offset_stay_apart() -> None:
    extents = ExtentMap(0)
    extents.write(0, 10, 1, 0)
    extents.write(10, 20, 1, 50)
    assert len(extents.pieces) == 2


def test_replaced_pieces_are_exact() -> None:
    extents = ExtentMap.of_base(100)
    extents.write(10, 20, 1, 0)
    assert extents.write(5, 15, 2, 0) == [Piece(5, 10, BASE, 5), Piece(10, 15, 1, 0)]
    assert extents.pieces == [
        Piece(0, 5, BASE, 0),
        Piece(5, 15, 2, 0),
        Piece(15, 20, 1, 5),
        Piece(20, 100, BASE, 20),
    ]


def test_truncating_returns_what_is_cut_off() -> None:
    extents = ExtentMap.of_base(100)
    extents.write(40, 60, 1, 7)
    assert extents.truncate(50) == [Piece(50, 60, 1, 17), Piece(60, 100, BASE, 60)]
    assert extents.pieces == [Piece(0, 40, BASE, 0), Piece(40, 50, 1, 7)]


def test_extending_reads_zeros_even_over_what_was_cut() -> None:
    extents = ExtentMap.of_base(100)
    extents.truncate(10)
    extents.truncate(100)
    assert list(extents.iter_pieces(0, 100)) == [Piece(0, 10, BASE, 0), Piece(10, 100, ZERO, 0)]
    assert not extents.is_base


def test_after_a_commit_only_later_writes_are_not_base() -> None:
    extents = ExtentMap.of_base(100)
    extents.write(0, 50, 1, 0)
    sealed = extents.copy()
    extents.write(40, 60, 2, 0)
    extents.rebase([1], sealed)
    assert extents.pieces == [
        Piece(0, 40, BASE, 0),
        Piece(40, 60, 2, 0),
        Piece(60, 100, BASE, 60),
    ]
    extents.rebase([1, 2], extents.copy())
    assert extents.is_base


def test_holes_that_were_committed_are_the_base_and_later_ones_are_not() -> None:
    extents = ExtentMap(0)
    extents.write(100, 200, 1, 0)
    sealed = extents.copy()
    extents.truncate(150)
    extents.truncate(300)
    extents.write(50, 60, 2, 0)
    extents.rebase([1], sealed)
    assert extents.pieces == [
        Piece(0, 50, BASE, 0),
        Piece(50, 60, 2, 0),
        Piece(60, 150, BASE, 60),
    ]
    assert extents.size == 300


def test_copies_are_independent() -> None:
    extents = ExtentMap.of_base(10)
    copy = extents.copy()
    extents.write(0, 5, 1, 0)
    assert copy.is_base
    assert not extents.is_base


def test_huge_truncate_is_free() -> None:
    extents = ExtentMap(0)
    extents.truncate(10**15)
    assert list(extents.iter_pieces(0, 10**15)) == [Piece(0, 10**15, ZERO, 0)]


def test_empty_file_is_its_base() -> None:
    assert ExtentMap.of_base(0).is_base
    assert list(ExtentMap(0).iter_pieces(0, 0)) == []
