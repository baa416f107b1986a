"""Writing content: whatever the pieces, the bytes are those of the model; small stays small."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.volume.shortcuts import make_file, noise
from volfs.model.entry import Entry
from volfs.model.extents import ExtentMap, Piece
from volfs.model.objects import Buffer
from volfs.store.contract.objects import Upload
from volfs.store.contract.store import Store
from volfs.volume import content_writer as writer_module
from volfs.volume.content_writer import ContentWriter
from volfs.volume.version_reader import Reader, read_range

BITS = 16
WINDOW = 1 << BITS
LIMIT = 6 * WINDOW


class UploadObjects:
    """An upload seen as the objects of a store, so that nothing need be published."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload

    def read_object(self, oid: bytes, offset: int, length: int) -> Buffer:
        data = self.upload.load_object(oid)  # type: ignore[arg-type]
        assert offset + length <= len(data)
        return data[offset : offset + length]


def read_all(upload: Upload, entry: Entry) -> bytes:
    reader = Reader(upload.load_object)
    objects = UploadObjects(upload)
    step = 100_000
    return b"".join(
        bytes(read_range(reader, objects, entry, at, step))  # type: ignore[arg-type]
        for at in range(0, entry.size, step)
    )


SCRATCH = noise(1 << 20)
offsets = st.one_of(
    st.integers(0, LIMIT),
    st.integers(0, 6).map(lambda n: n * WINDOW),
    st.integers(0, 2000),
)
operations = st.lists(
    st.tuples(st.sampled_from(["write", "truncate", "zeros"]), offsets, st.integers(1, WINDOW * 2)),
    max_size=6,
)


def apply(
    operation: tuple[str, int, int], extents: ExtentMap, model: bytearray, arena: int
) -> None:
    """The same change to a map and to its model."""
    verb, offset, length = operation
    if verb == "truncate":
        extents.truncate(offset)
        del model[offset:]
        model.extend(bytes(offset - len(model)))
    elif verb == "zeros":
        size = max(extents.size, offset)
        extents.truncate(offset)
        extents.truncate(size)
        del model[offset:]
        model.extend(bytes(size - len(model)))
    else:
        model.extend(bytes(max(0, offset + length - len(model))))
        start = (arena * 777) % (len(SCRATCH) - length)
        model[offset : offset + length] = SCRATCH[start : start + length]
        extents.write(offset, offset + length, arena, start)


def read_scratch(arena: int, offset: int, length: int) -> Buffer:
    return memoryview(SCRATCH)[offset : offset + length]


@settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rounds=st.lists(operations, min_size=1, max_size=4), clean_min=st.sampled_from([1, 4096, 65536])
)
def test_bytes_are_those_of_the_model(
    store: Store, rounds: list[list[tuple[str, int, int]]], clean_min: int
) -> None:
    model = bytearray()
    entry = make_file()
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(2) as pool,
        store.open_upload("vo-none") as upload,
    ):
        patch.setattr(writer_module, "CLEAN_MIN", clean_min)
        for changes in rounds:
            # As after a commit: what was written is the base of the next changes.
            writer = ContentWriter(UploadObjects(upload), upload, BITS, pool)  # type: ignore[arg-type]
            extents = ExtentMap.of_base(entry.size)
            for arena, operation in enumerate(changes):
                apply(operation, extents, model, arena)
            entry = writer.write(entry, extents, read_scratch)
            assert entry.size == len(model)
            assert read_all(upload, entry) == model


def test_a_hundred_scattered_rewrites_add_little(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, 20, pool)  # type: ignore[arg-type]
        size = 64 << 20
        block = noise(1 << 20)
        pieces = (bytes([n]) + block[1:] for n in range(64))
        base = writer.write_stream(make_file(), pieces)
        before = upload.new_bytes
        extents = ExtentMap.of_base(size)
        for number in range(100):
            at = (number * 655_361) % size & ~4095
            extents.write(at, at + 4096, 0, number * 4096)
        after = writer.write(base, extents, read_scratch)
        assert upload.new_bytes - before < 1 << 20
        assert after.size == size
        reader = Reader(upload.load_object)
        at = (7 * 655_361) % size & ~4095
        got = read_range(reader, UploadObjects(upload), after, at, 4096)  # type: ignore[arg-type]
        assert bytes(got) == SCRATCH[7 * 4096 : 8 * 4096]


def test_a_window_in_many_pieces_is_rewritten_whole(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, 20, pool)  # type: ignore[arg-type]
        base = writer.write_stream(make_file(), [noise(1 << 20)])
        extents = ExtentMap.of_base(1 << 20)
        for number in range(20):
            extents.write(number * 40_000, number * 40_000 + 100, 0, 0)
        assert len(writer.write(base, extents, read_scratch).extents) == 1


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bits=st.sampled_from([16, 20]),
    rounds=st.lists(st.sets(st.integers(0, 511), min_size=1, max_size=300), min_size=1, max_size=3),
)
def test_data_is_exact_for_any_number_of_pieces(
    store: Store, bits: int, rounds: list[set[int]]
) -> None:
    """Pages of a file of 2 MiB are written, in any number and order, over several commits."""
    size, page = 512 * 4096, 4096
    model, entry, written = bytearray(size), make_file(), set[int]()
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, bits, pool)  # type: ignore[arg-type]
        for arena, pages in enumerate(rounds):
            extents = ExtentMap.of_base(entry.size)
            extents.truncate(size)
            for number in sorted(pages):
                at, source = number * page, (number * 4099 + arena) % (len(SCRATCH) - page)
                extents.write(at, at + page, arena, source)
                model[at : at + page] = SCRATCH[source : source + page]
            written |= pages
            entry = writer.write(entry, extents, read_scratch)
            assert entry.data == len(written) * page
            assert read_all(upload, entry) == model


def test_a_file_made_long_costs_nothing(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, BITS, pool)  # type: ignore[arg-type]
        base = writer.write_stream(make_file(), [noise(WINDOW)] * 40)
        extents = ExtentMap.of_base(base.size)
        extents.truncate(100_000)
        extents.truncate(1 << 40)
        long = writer.write(base, extents, read_scratch)
        # And cut again, from a base that is nearly all hole.
        extents = ExtentMap.of_base(1 << 40)
        extents.truncate(5)
        extents.truncate(1 << 40)
        longer = writer.write(long, extents, read_scratch)
        reader, objects = Reader(upload.load_object), UploadObjects(upload)
        for entry, kept in ((long, 100_000), (longer, 5)):
            head = bytes(read_range(reader, objects, entry, 0, 200_000))  # type: ignore[arg-type]
            expected = (noise(WINDOW) * 2)[:kept]
            assert head == expected + bytes(200_000 - kept)
            tail = read_range(reader, objects, entry, (1 << 40) - 10, 100)  # type: ignore[arg-type]
            assert bytes(tail) == bytes(10)


def test_zeros_are_holes(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, BITS, pool)  # type: ignore[arg-type]
        entry = writer.write_stream(make_file(), [bytes(WINDOW)] * 100)
        assert [extent.oid for extent in entry.extents] == [b""]
        assert upload.new_objects == 0


@pytest.mark.parametrize("size", [0, 1, 1024, 1025])
def test_small_content_lives_in_the_entry(store: Store, size: int) -> None:
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, BITS, pool)  # type: ignore[arg-type]
        entry = writer.write_stream(make_file(), [noise(size)] if size else [])
        assert entry.inline == (noise(size) if size <= 1024 else b"")
        assert read_all(upload, entry) == noise(size)


@pytest.mark.parametrize("size", [1025, WINDOW - 1, WINDOW, WINDOW + 1])
@pytest.mark.parametrize("make", [noise, bytes])
def test_a_file_of_one_piece_is_stored_as_a_stream_is(
    store: Store, make: Callable[[int], bytes], size: int
) -> None:
    """There is one form for each content, by whatever shortcut it was written."""
    data = make(size)
    with ThreadPoolExecutor(2) as pool, store.open_upload("vo-none") as upload:
        writer = ContentWriter(UploadObjects(upload), upload, BITS, pool)  # type: ignore[arg-type]
        pieces = ExtentMap(size, [Piece(0, size, 3, 7)])
        entry = writer.write(make_file(), pieces, lambda _, at, n: (bytes(7) + data)[at : at + n])
        windows = [data[at : at + WINDOW] for at in range(0, size, WINDOW)]
        assert entry == writer.write_stream(make_file(), windows)
