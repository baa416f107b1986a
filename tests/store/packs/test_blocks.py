"""Records in blocks: a part is read and verified alone, and no flipped bit is ever believed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.embedded.published import VOLUME, add, data_pack, list_damage, noise
from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.pack import RECORD_HEADER_SIZE, Codec, find_stored_problem
from volfs.model.record_blocks import BlockTable, Span
from volfs.store.embedded.engine import EmbeddedStore, open_embedded
from volfs.store.packs import codec, reader
from volfs.store.packs.codec import (
    RAW_BITS,
    UNDIVIDED,
    ZSTD_BITS,
    pack_object,
    unpack_blocks,
    unpack_front,
    unpack_object,
)

RAW, ZSTD = 1 << RAW_BITS, 1 << ZSTD_BITS
SIZES = [
    0,
    1,
    63,
    UNDIVIDED - 1,
    UNDIVIDED,
    UNDIVIDED + 1,
    3 * UNDIVIDED + 5,
    ZSTD,
    ZSTD + 1,
    3 * ZSTD,
    5 * ZSTD - 7,
]


def mixed(size: int) -> bytes:
    """What is worth compressing although every third block of it is not."""
    parts = [noise(ZSTD) if n % 3 == 2 else b"text %d " % n * ZSTD for n in range(size // ZSTD + 1)]
    return b"".join(part[:ZSTD] for part in parts)[:size]


CONTENTS = {"noise": noise, "text": lambda size: (b"line of text " * size)[:size], "mixed": mixed}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", SIZES)
def test_the_form_of_each_size(content: str, size: int) -> None:
    data = CONTENTS[content](size)
    for kind in (Kind.CHUNK, Kind.TREE):
        oid = compute_oid(kind, data)
        header, parts = pack_object(kind, oid, data)
        stored = b"".join(parts)
        assert unpack_object(header, stored) == data
        assert find_stored_problem(header, stored) is None
        limit = UNDIVIDED if content == "noise" else ZSTD
        assert (header.codec is Codec.BLOCKS) == (kind is Kind.CHUNK and size > limit)
        small = kind is not Kind.CHUNK or size <= UNDIVIDED
        assert header.stored <= size or not small, "small records do not grow"
        assert header.stored <= size + 12 * (size / RAW + 1) + 8


class _Lying:
    """A compressor whose frames hold other bytes than it was given."""

    def __init__(self, lie: Callable[[bytes], bytes]) -> None:
        self.lie = lie
        self.honest = zstandard.ZstdCompressor(level=1)

    def compress(self, data: Buffer) -> bytes:
        return self.honest.compress(self.lie(bytes(data)))


LIES: dict[str, Callable[[bytes], bytes]] = {
    "longer": lambda data: data + b" ",
    "shorter": lambda data: data[:-1],
    "another last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "nothing": lambda data: b"",
    "none": lambda data: data,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("size", [1000, 3 * ZSTD + 5])
def test_a_frame_is_kept_only_if_it_holds_the_data(
    monkeypatch: pytest.MonkeyPatch, lie: str, size: int
) -> None:
    liar = _Lying(LIES[lie])
    monkeypatch.setattr(codec._mine, "compressor", liar)
    monkeypatch.setattr(codec._mine, "block_compressor", liar)
    data = CONTENTS["text"](size)
    for form in (data, memoryview(data), memoryview(bytearray(data)), bytearray(data)):
        header, parts = pack_object(Kind.CHUNK, compute_oid(Kind.CHUNK, data), form)
        assert unpack_object(header, b"".join(parts)) == data
        assert (header.stored < len(data)) == (lie == "none")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(str(tmp_path / "store"), create=True)
    store.refs.create_volume(VOLUME, b"manifest 0")
    yield store
    store.close()


def reopen(store: EmbeddedStore) -> EmbeddedStore:
    """With nothing remembered."""
    path = store.url
    store.close()
    return open_embedded(path, create=False)


def test_blocks_are_compressed_better_than_by_the_level_alone() -> None:
    make = random.Random(7)
    words = [make.randbytes(make.randrange(2, 6)).hex().encode() for _ in range(4000)]
    data = b" ".join(make.choices(words, k=1 << 18))[: 1 << 20]
    oid = compute_oid(Kind.CHUNK, data)
    plain = zstandard.ZstdCompressor(level=1)
    cut = (data[at : at + ZSTD] for at in range(0, len(data), ZSTD))
    by_level = sum(len(plain.compress(block)) for block in cut)
    assert pack_object(Kind.CHUNK, oid, data).header.stored < 0.96 * by_level


@pytest.mark.parametrize("content", CONTENTS)
def test_any_part_is_what_it_was(store: EmbeddedStore, content: str) -> None:
    data = CONTENTS[content](5 * ZSTD - 7)
    (oid,) = add(store, data)
    store = reopen(store)
    objects = store.objects_of(VOLUME.id)
    make = random.Random(content)
    for _ in range(300):
        offset = make.randrange(len(data))
        length = min(make.choice((0, 1, 4096, RAW, ZSTD, 3 * ZSTD)), len(data) - offset)
        for read in (objects.read_object_ready, objects.read_object):
            found = read(oid, offset, length)
            assert found is None or found == data[offset : offset + length]
    with pytest.raises(DamagedObjectError, match="1 bytes at"):
        objects.read_object(oid, len(data), 1)
    assert objects.load_object(oid) == data
    store.close()


@pytest.mark.parametrize("content", CONTENTS)
def test_a_small_read_reads_little(store: EmbeddedStore, content: str) -> None:
    (oid,) = add(store, CONTENTS[content](1 << 20))
    store = reopen(store)
    packs = store._engine.packs.source
    sizes: list[int] = []
    read_at = packs.read_at

    def counting(pack: int, offset: int, length: int) -> bytes:
        sizes.append(length)
        return read_at(pack, offset, length)

    packs.read_at = counting  # type: ignore[method-assign]
    store.objects_of(VOLUME.id).read_object(oid, 500_000, 4096)
    table, block = sizes
    assert table < 2048
    assert block <= (RAW if content == "noise" else ZSTD)
    del sizes[:]
    store.objects_of(VOLUME.id).read_object(oid, 500_000, 4096)
    # What is compressed is remembered, the rest is in the page cache: 4 KiB of it are read.
    assert sizes == ([4096] if content == "noise" else [])
    del sizes[:]
    store.objects_of(VOLUME.id).read_object(oid, 0, 4096)
    assert len(sizes) == 1, "the table is remembered"
    store.close()


def test_a_small_read_decodes_a_block_as_far_as_it_must(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = CONTENTS["text"](5 * ZSTD - 7)
    (oid,) = add(store, data)
    store = reopen(store)
    objects = store.objects_of(VOLUME.id)
    lengths: list[int] = []

    def noting(stored: Buffer, raw: int, length: int) -> Buffer:
        lengths.append(length)
        return unpack_front(stored, raw, length)

    monkeypatch.setattr(reader, "unpack_front", noting)
    for at, decoded in ((40_000, [44_096]), (30_000, []), (50_000, [ZSTD]), (ZSTD - 4096, [])):
        assert objects.read_object(oid, at, 4096) == data[at : at + 4096]
        assert lengths == decoded, at
        del lengths[:]
    last = len(data) - 100
    assert objects.read_object_ready(oid, last, 100) == data[last:]
    assert objects.read_object(oid, 0, 2 * ZSTD) == data[: 2 * ZSTD]
    across = 4 * ZSTD - 50
    assert objects.read_object(oid, across, 100) == data[across : across + 100]
    store.close()


@pytest.mark.parametrize("step", [1 << 19, 3 * 1 << 17, ZSTD + 4096, 5 * ZSTD])
@pytest.mark.parametrize("content", ["text", "mixed"])
def test_a_reader_in_order_decodes_each_block_once(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, content: str, step: int
) -> None:
    """Whatever the sizes of its requests, and whether or not they begin where blocks begin."""
    data = CONTENTS[content](5 * ZSTD - 7)
    (oid,) = add(store, data)
    store = reopen(store)
    scattered: list[int] = []
    monkeypatch.setattr(store._engine.packs.source, "expect_scattered", scattered.append)
    decoded: list[int] = []

    def noting(table: BlockTable, span: Span, stored: Buffer) -> Buffer:
        decoded.extend(range(span.first, span.last + 1))
        return unpack_blocks(table, span, stored)

    monkeypatch.setattr(reader, "unpack_blocks", noting)
    for first in (0, step // 2):
        decoded.clear()
        for at in range(first, len(data), step):
            part = data[at : at + step]
            if len(part) < len(data):
                assert store.objects_of(VOLUME.id).read_object(oid, at, len(part)) == part
        assert len(decoded) == len(set(decoded))
    assert not scattered, "the kernel may read ahead"
    store.close()


@pytest.mark.parametrize("content", CONTENTS)
def test_flipped_bytes_are_found_by_whoever_reads_them(
    store: EmbeddedStore, tmp_path: Path, content: str
) -> None:
    data = CONTENTS[content](5 * ZSTD - 7)
    (oid,) = add(store, data)
    entry = store._engine.index.find_entry(oid)
    assert entry is not None
    pack = data_pack(tmp_path / "store")
    whole = pack.read_bytes()
    begin = entry.offset - RECORD_HEADER_SIZE
    make = random.Random(content)
    places = [*range(begin, entry.offset, 5), entry.offset + 3, entry.offset + 9]
    places += [make.randrange(entry.offset, entry.offset + entry.stored) for _ in range(20)]
    for place in places:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << make.randrange(8)
        pack.write_bytes(spoiled)
        store = reopen(store)
        wrong = sum(not _reads_right(store, oid, data, at) for at in range(0, len(data), RAW))
        header = place < entry.offset
        assert (wrong == 0) if header else (wrong > 0), place
        assert list_damage(store), place
        in_table = place < entry.offset + 12 * (len(data) // RAW + 1)
        assert header or in_table or wrong <= ZSTD // RAW, "other blocks are still read"
    pack.write_bytes(whole)
    store = reopen(store)
    assert not list_damage(store)
    store.close()


def test_blocks_read_before_are_verified_with_new_ones(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    data = noise(3 * RAW)
    (oid,) = add(store, data)
    assert store.objects_of(VOLUME.id).read_object(oid, 0, 100) == data[:100]
    entry = store._engine.index.find_entry(oid)
    assert entry is not None
    with data_pack(tmp_path / "store").open("r+b") as pack:
        pack.seek(entry.offset + entry.stored - len(data))
        pack.write(bytes(100))
    with pytest.raises(DamagedObjectError, match="block 0"):
        store.objects_of(VOLUME.id).read_object(oid, 0, RAW + 100)


def _reads_right(store: EmbeddedStore, oid: Oid, data: bytes, offset: int) -> bool:
    part = data[offset : offset + 1000]
    try:
        assert store.objects_of(VOLUME.id).read_object(oid, offset, len(part)) == part, "believed"
    except DamagedObjectError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_header_says_what_it_says(data: st.DataObject) -> None:
    """A table of one object is no table of another."""
    size = data.draw(st.sampled_from([s for s in SIZES if s > UNDIVIDED]))
    content = noise(size)
    oid = compute_oid(Kind.CHUNK, content)
    header, parts = pack_object(Kind.CHUNK, oid, content)
    other = header._replace(oid=compute_oid(Kind.CHUNK, b"other"))
    assert find_stored_problem(other, b"".join(parts)) is not None
    bits = data.draw(st.integers(12, 20).filter(lambda bits: bits != header.block_bits))
    assert find_stored_problem(header._replace(block_bits=bits), b"".join(parts)) is not None
