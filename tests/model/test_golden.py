"""Bytes and ids that must never change: those that docs/format.md shows.

A test that fails here says that stores written before can no longer be read,
or that the same content gets another id. Then the change is wrong, or it is a
new format with a new number.
"""

from __future__ import annotations

import pytest

from tests.harness.memory import MemoryObjects
from volfs.model.content import build_content, decode_chunk_list
from volfs.model.entry import Entry, Extent, FileKind
from volfs.model.manifest import Manifest, decode_manifest, encode_manifest
from volfs.model.objects import NO_OID, Kind, Oid, compute_oid
from volfs.model.tree import begins_page, build_tree, decode_tree

A = Oid(bytes.fromhex("aa" * 32))
B = Oid(bytes.fromhex("bb" * 32))
TIME = 1_700_000_000_000_000_000

FILE = Entry(b"hello", FileKind.FILE, 0o644, 1000, 100, TIME, TIME + 1, size=3, inline=b"hi\n")
ENTRIES = [
    Entry(
        b"data",
        FileKind.FILE,
        0o600,
        size=5000,
        extents=(Extent(4096, A, 8), Extent(904, NO_OID, 0)),
        xattrs=((b"user.k", b"v"),),
    ),
    Entry(
        b"dir",
        FileKind.DIRECTORY,
        0o755,
        root=B,
        files=2,
        directories=1,
        content_bytes=7,
        subdirectories=1,
    ),
    FILE,
    Entry(b"link", FileKind.FILE, group=0x1234),
    Entry(b"sym", FileKind.SYMLINK, 0o777, size=5, inline=b"hello"),
]
ROOT = Entry(b"root", FileKind.DIRECTORY, 0o755, mtime_ns=TIME, ctime_ns=TIME, root=B, files=1)
MANIFEST = Manifest("vo-1", 2, A, TIME, "me@host", "two", False, b"0123456789abcdef", ROOT)

GOLDEN = {
    "page": (
        Kind.TREE,
        "930095dc0013c4046461746101cd018000000000cd1388c4009293cd1000c420aaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0893cd0388c40000c4000001009192c4"
        "06757365722e6bc4017600000000dc0013c40364697202cd01ed0000000000c40090c420bbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0001009002010701dc0013c4"
        "0568656c6c6f01cd01a4cd03e864cf17979cfe362a0000cf17979cfe362a000103c40368690a90c4"
        "000001009000000000dc0013c4046c696e6b01000000000000c40090c400cd123401009000000000"
        "dc0013c40373796d03cd01ff0000000005c40568656c6c6f90c400000100900000000090",
        "503d2a87959ed3d27260db5a4ae1544acd07890ff328cf15ed08fc6423a2ca94",
    ),
    "index": (
        Kind.TREE,
        "9301909297c40161c4206f584b0e4844c09bc328a20a44a3c33411adf58e96f91a34e0b114f90c16"
        "c12c010100000097c4086e30303030303435c420ad6c771ea10de292982e8756855b2458cc29dbb3"
        "53b50b5259c65770255d62950101000000",
        "6063321123c8bcfdf8cf2d2c8b7afa0b7507b282f3ee1e4a49bf73c2055c8a0c",
    ),
    "leaf": (
        Kind.CHUNK_LIST,
        "94000c9493cd1000c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaa0093cd1000c4000093cd0fa0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbb6093cd2060c4000090",
        "26618c024ce2eefc18d0fabf94839f56e5bbdfb91fb7b0ef177e968ed1db8702",
    ),
    "inner": (
        Kind.CHUNK_LIST,
        "94010c9092c400c420411b949ad868b9baa38d330a9239078bfdd344eda32b46af1d2c68f495d9b00e",
        "9c4dfdf30d8e4be69dd5c104b66af928fd58dce8cae0e06e6e05b76817c46bdf",
    ),
    "manifest": (
        Kind.MANIFEST,
        "9ca4766f2d3102c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aacf17979cfe362a0000a76d6540686f7374a374776fc2c410303132333435363738396162636465"
        "66dc0013c404726f6f7402cd01ed0000cf17979cfe362a0000cf17979cfe362a000000c40090c420"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0001009001000000"
        "c4000000",
        "27503237a1750c7a37adf73a4140ce6c1986d47700d91b4bb86988fa5c067c71",
    ),
}


def write_all() -> dict[str, bytes]:
    """The same objects, by today's writers."""
    store = MemoryObjects()
    file = Entry(b"f", FileKind.FILE)
    windows = {0: (Extent(4096, A, 0),), 2: (Extent(4000, B, 96), Extent(96, NO_OID, 0))}
    get, put = store.get_list, store.put
    page = build_tree(put, ENTRIES).oid
    index = build_tree(put, [Entry(b"a", FileKind.FILE), Entry(b"n0000045", FileKind.FILE)]).oid
    leaf = build_content(get, put, file, 5 * 4096, windows, 12).root
    inner = build_content(get, put, file, 65 * 4096, {64: (Extent(4096, A, 0),)}, 12).root
    written = {
        name: store.objects[oid]
        for name, oid in zip(GOLDEN, (page, index, leaf, inner), strict=False)
    }
    return written | {"manifest": encode_manifest(MANIFEST)}


@pytest.mark.parametrize("name", GOLDEN)
def test_writers_still_write_the_same(name: str) -> None:
    kind, data, oid = GOLDEN[name]
    written = write_all()[name]
    assert written.hex() == data
    assert compute_oid(kind, written).hex() == oid


def test_readers_still_read_the_same() -> None:
    data = {name: bytes.fromhex(text) for name, (_, text, _) in GOLDEN.items()}
    assert list(decode_tree(data["page"]).entries.values()) == ENTRIES
    assert [page.first for page in decode_tree(data["index"]).pages] == [b"a", b"n0000045"]
    assert decode_chunk_list(data["leaf"]).extents[0] == Extent(4096, A, 0)
    assert decode_chunk_list(data["inner"]).level == 1
    assert decode_manifest(data["manifest"]) == MANIFEST


def test_a_chunk_is_its_bytes() -> None:
    oid = "cb36cd20b77e3ada257ec5405e7c4c4f4462b6ac51b3b3c0229fc6c3e8c106e1"
    assert compute_oid(Kind.CHUNK, b"hello").hex() == oid


def test_names_that_begin_a_page() -> None:
    """The cut rule is part of the format: other pages would be other ids."""
    names = [b"%d" % number for number in range(1000)]
    assert [name for name in names if begins_page(name)] == [
        b"15",
        b"160",
        b"225",
        b"234",
        b"321",
        b"343",
        b"592",
        b"604",
        b"883",
        b"976",
    ]
