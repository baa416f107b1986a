"""Whatever bytes a decoder is given: a value or an error of volfs, soon, and in little memory."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count, takewhile
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.crash.children import count_rounds, first_seed, is_long
from tests.fault.forks import in_fork
from tests.fault.mutations import inflate, mutate
from tests.harness.memory import MemoryObjects
from volfs.control.protocol import (
    REQUEST_MAX,
    Failure,
    Request,
    Response,
    decode_answer,
    decode_length,
    decode_request,
    encode,
)
from volfs.errors import DataError, MountError
from volfs.model.content import decode_chunk_list
from volfs.model.entry import Entry, Extent, FileKind
from volfs.model.manifest import decode_manifest, encode_manifest, make_first_manifest
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    Codec,
    PackKind,
    encode_pack_header,
    encode_record_header,
    iter_records,
)
from volfs.model.record_blocks import BlockTable, encode_table
from volfs.model.tree import build_tree, decode_tree
from volfs.sessions.facts import SessionFacts, decode_facts, encode_facts
from volfs.store.packs.codec import compress, decompress, pack_object, unpack_blocks, unpack_object
from volfs.store.packs.rows import IndexEntry, decode_entry, encode_entry

LARGE = 1 << 20
LONG = 1800
"""Seconds of processor time, for each decoder in the long form."""
MANY = count_rounds(3, 75)
"""Times as many rounds: half a minute for all decoders together, or a minute for each."""
HANG = 300
"""Seconds after which one decoding is one that hangs."""
OID = Oid(b"\xaa" * 32)
RAW = Random(5).randbytes(20_000)


class Decoder(NamedTuple):
    decode: Callable[[bytes], Any]
    valid: list[bytes]
    errors: tuple[type[Exception], ...]
    rounds: int
    """That take a second or two."""


def trees() -> list[bytes]:
    store = MemoryObjects()
    many = [Entry(b"%05d" % n, FileKind.FILE, 0o644) for n in range(900)]
    odd = [
        Entry(b"a", FileKind.FILE, size=5000, extents=(Extent(5000, OID, 8),)),
        Entry(b"b", FileKind.DIRECTORY, root=OID, files=1, xattrs=((b"user.k", b"v"),)),
        Entry(b"c", FileKind.SYMLINK, size=3, inline=b"../"),
        Entry(b"d", FileKind.FILE, group=7),
        Entry(b"e", FileKind.FILE, size=1 << 40, root=OID),
    ]
    for entries in (many, odd):
        build_tree(store.put, entries)
    return sorted(store.objects.values(), key=len)[:20]


def manifests() -> list[bytes]:
    first = make_first_manifest("vo-1", nonce=bytes(16), now_ns=1, author="me", uid=0, gid=0)
    later = msgspec.structs.replace(
        first, version=3, parent=OID, message="text ü", links=OID, link_files=1, link_bytes=9
    )
    return [encode_manifest(first), encode_manifest(later)]


def chunk_lists() -> list[bytes]:
    leaf = tuple(Extent(4096, OID if n % 2 else b"", 0) for n in range(64))
    return [
        msgspec.msgpack.encode((0, 12, leaf, ())),
        msgspec.msgpack.encode((2, 20, (), (OID, b"", OID))),
        msgspec.msgpack.encode((2, 20, (), (OID, b"", OID), (5, 0, 7), ())),
        msgspec.msgpack.encode((0, 12, leaf, (), (), ((0, OID, 5), (2, OID, 4096)))),
    ]


def make_record(kind: Kind, data: bytes) -> bytes:
    packed = pack_object(kind, compute_oid(kind, data), data)
    return encode_record_header(packed.header) + b"".join(packed.parts)


def packs() -> list[bytes]:
    records = make_record(Kind.CHUNK, b"text " * 100) + make_record(Kind.CHUNK, b"raw")
    blocks = make_record(Kind.CHUNK, b"text " * 20_000) + make_record(Kind.CHUNK, RAW)
    return [encode_pack_header(PackKind.DATA) + records, records, blocks]


def scan_pack(data: bytes) -> None:
    """Every record of it, and what is in them."""
    for item in iter_records(lambda at, n: data[at : at + n], max(len(data), PACK_HEADER_SIZE)):
        header = getattr(item, "header", None)
        if header is not None:
            unpack_object(header, item.stored)


def tables() -> list[bytes]:
    """The stored bytes of two objects in blocks of 4 KiB, with their length and table sum."""
    blocks: list[Buffer] = [RAW[at : at + 4096] for at in range(0, 20_000, 4096)]
    return [encode_table(OID, blocks) + RAW]


def read_blocks(data: bytes) -> None:
    table = BlockTable(OID, 20_000, 12, len(data), data)
    unpack_blocks(table, table.whole(), data[table.content :])


def index_rows() -> list[bytes]:
    entries = (IndexEntry(1, 80, 10, 20, 5, Codec.ZSTD, Kind.TREE),)
    return [encode_entry(entry) for entry in entries]


def frames() -> list[bytes]:
    return [bytes(compress(data)[1]) for data in (bytes(70_000), b"text and more " * 5000)]


def requests() -> list[bytes]:
    found = (Request("status"), Request("unmount", "text", "fail", 1.5, at_end="keep"))
    return [encode(request) for request in found]


def read_request(data: bytes) -> None:
    length = decode_length(data[:4], REQUEST_MAX)
    decode_request(data[4 : 4 + length])


def answers() -> list[bytes]:
    found = (
        Response(result={"a": [{"path": "p"}], "b": None}),
        Response(error=Failure("user", "no")),
    )
    return [encode(answer)[4:] for answer in found]


def facts() -> list[bytes]:
    return [encode_facts(SessionFacts("vo-1", "data", "/mnt", 42, 3, 17, True, "sub"))]


DATA, CONTROL = (DataError,), (MountError,)
DECODERS = {
    "trees": Decoder(decode_tree, trees(), DATA, 10_000),
    "manifests": Decoder(decode_manifest, manifests(), DATA, 25_000),
    "chunk lists": Decoder(decode_chunk_list, chunk_lists(), DATA, 20_000),
    "packs": Decoder(scan_pack, packs(), DATA, 10_000),
    "index entries": Decoder(lambda row: decode_entry(OID, row), index_rows(), DATA, 25_000),
    "blocks": Decoder(read_blocks, tables(), DATA, 10_000),
    "frames": Decoder(lambda f: decompress(Codec.ZSTD, f, 70_000), frames(), DATA, 20_000),
    "requests": Decoder(read_request, requests(), CONTROL, 25_000),
    "answers": Decoder(decode_answer, answers(), CONTROL, 25_000),
    "session facts": Decoder(decode_facts, facts(), (ValueError,), 20_000),
}


@pytest.mark.parametrize("name", DECODERS)
def test_nearly_right_bytes(name: str) -> None:
    rounds = DECODERS[name].rounds
    fuzz_in_fork(name, until_used(LONG) if is_long() else range(rounds))


@pytest.mark.crash
@pytest.mark.parametrize("name", DECODERS)
def test_many_nearly_right_bytes(name: str) -> None:
    fuzz_in_fork(name, range(MANY * DECODERS[name].rounds))


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_valid_is_accepted(name: str) -> None:
    for data in DECODERS[name].valid:
        DECODERS[name].decode(data)


def until_used(seconds: float) -> Iterator[int]:
    """0, 1, 2, … until this process has used so much processor time."""
    return takewhile(lambda _: time.process_time() < seconds, count())


def fuzz_in_fork(name: str, numbers: Iterable[int]) -> None:
    seed = f"{first_seed()}/{name}"
    in_fork(lambda: fuzz(DECODERS[name], seed, numbers), seed)


def fuzz(decoder: Decoder, seed: str, numbers: Iterable[int]) -> None:
    number = 0
    for number in numbers:
        random = Random(f"{seed}/{number}")
        try_bytes(decoder, mutate(random, decoder.valid), f"{seed}/{number}")
        if number % (decoder.rounds // 20) == 0:
            try_bytes(decoder, inflate(random, decoder.valid, LARGE), f"{seed}/{number} large")
    print(f"{seed}: {number + 1:,} rounds")


def try_bytes(decoder: Decoder, data: bytes, seed: str) -> None:
    signal.alarm(HANG)
    try:
        decoder.decode(data)
    except decoder.errors:
        pass
    except BaseException as error:
        raise AssertionError(f"{seed}: {data[:200]!r}") from error
