"""Bytes and ids that must never change: those that docs/format.md shows.

A test that fails here says that stores written before can no longer be read,
or that the same content gets another id. Then the change is wrong, or it is a
new format with a new number.
"""

from __future__ import annotations

import pytest

from tests.harness.memory import MemoryObjects
from volfs.model.content import decode_chunk_list
from volfs.model.content_building import build_content
from volfs.model.entry import UNKNOWN, Entry, Extent, FileKind, Totals, is_same, with_known_sums
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
        data_bytes=6,
        linked=1,
    ),
    FILE,
    Entry(b"link", FileKind.FILE, group=0x1234),
    Entry(b"sym", FileKind.SYMLINK, 0o777, size=5, inline=b"hello"),
]
ROOT = Entry(
    b"root",
    FileKind.DIRECTORY,
    0o755,
    mtime_ns=TIME,
    ctime_ns=TIME,
    root=B,
    files=1,
    data_bytes=0,
    linked=0,
)
MANIFEST = Manifest(
    "vo-1", 2, A, TIME, "me@host", "two", False, b"0123456789abcdef", ROOT, link_data=0
)

GOLDEN = {
    "page": (
        Kind.TREE,
        "930095dc0015c4046461746101cd018000000000cd1388c4009293cd1000c420aaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0893cd0388c40000c4000001009192c4"
        "06757365722e6bc4017600000000cd100000dc0015c40364697202cd01ed0000000000c40090c420"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0001009002010701"
        "0601dc0015c40568656c6c6f01cd01a4cd03e864cf17979cfe362a0000cf17979cfe362a000103c4"
        "0368690a90c40000010090000000000300dc0015c4046c696e6b01000000000000c40090c400cd12"
        "34010090000000000000dc0015c40373796d03cd01ff0000000005c40568656c6c6f90c400000100"
        "9000000000050090",
        "f8c28b5baaa2dd6b590bff14fd78f25d1bdcfb317734bdaf7a43b9cc1e52b5de",
    ),
    "index": (
        Kind.TREE,
        "9301909299c40161c420dd32922ab261398a823a07797d53cc221e2e0ea803a253d064306d1ca9e7"
        "21030101000000000099c4086e30303030303435c4201a483c9f827d7ef97102d69b06cd7c2d2ff6"
        "931cd3af18caa5b9211799b170bc01010000000000",
        "0add0f36463d086fe54fab5c732be6930621ad9c8fc40bda75d1778ec9c42c6a",
    ),
    "leaf": (
        Kind.CHUNK_LIST,
        "96000c9493cd1000c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaa0093cd1000c4000093cd0fa0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbb6093cd2060c40000909090",
        "6d5aad4bc7de990d00ef76307f876c950f3e1778f0254b6be526dec1f1eb45ea",
    ),
    "inner": (
        Kind.CHUNK_LIST,
        "96010c9092c400c42063f60ab6ad0b5b594a982129d4c470d546bdf3b1d7d0b15b7cb9f31016274f"
        "ca9200cd100090",
        "58ef83d146b0585b0689d6275763645214d2c48ddcdfb1025efdb859cb0b229b",
    ),
    "crowded leaf": (
        Kind.CHUNK_LIST,
        "96000c9193cd5000c400009090919301c420d2266010feddd9c2aa9a961dea3caaa9b275f79eadda"
        "b8086629a0847b14ba6ecd0ff0",
        "574cfc0b848692b225a5c2c4b39109c3c17c54824ed2b6ca23d925dc157f02fc",
    ),
    "window": (
        Kind.CHUNK_LIST,
        "96000cdc001293ccf0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbb0093ccf0c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aa0193ccf0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb02"
        "93ccf0c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0393cc"
        "f0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0493ccf0c4"
        "20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0593ccf0c420bb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0693ccf0c420aaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0793ccf0c420bbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0893ccf0c420aaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0993ccf0c420bbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0a93ccf0c420aaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0b93ccf0c420bbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0c93ccf0c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0d93ccf0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0e93ccf0c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaa0f93ccf0c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbb109310c40000909090",
        "d2266010feddd9c2aa9a961dea3caaa9b275f79eaddab8086629a0847b14ba6e",
    ),
    "manifest": (
        Kind.MANIFEST,
        "9da4766f2d3102c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aacf17979cfe362a0000a76d6540686f7374a374776fc2c410303132333435363738396162636465"
        "66dc0015c404726f6f7402cd01ed0000cf17979cfe362a0000cf17979cfe362a000000c40090c420"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0001009001000000"
        "0000c400000000",
        "219304f2a58ede488b552cc37af47cb88bda534ecabb23dd154a664d2a6a953c",
    ),
}
FORMER = {
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
"""As format 1 had them: they are read, and nobody writes them."""


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
    pieces = (*(Extent(240, (B, A)[n % 2], n) for n in range(17)), Extent(16, NO_OID, 0))
    crowded = build_content(get, put, file, 5 * 4096, {1: pieces}, 12).root
    (window,) = decode_chunk_list(store.objects[Oid(crowded)]).windows.values()
    oids = (page, index, leaf, inner, crowded, window)
    written = {name: store.objects[oid] for name, oid in zip(GOLDEN, oids, strict=False)}
    return written | {"manifest": encode_manifest(MANIFEST)}


@pytest.mark.parametrize("name", GOLDEN)
def test_writers_still_write_the_same(name: str) -> None:
    kind, data, oid = GOLDEN[name]
    written = write_all()[name]
    assert written.hex() == data
    assert compute_oid(kind, written).hex() == oid


def test_readers_still_read_the_same() -> None:
    data = {name: bytes.fromhex(text) for name, (_, text, _) in GOLDEN.items()}
    assert list(decode_tree(data["page"]).entries.values()) == list(map(with_known_sums, ENTRIES))
    assert [page.first for page in decode_tree(data["index"]).pages] == [b"a", b"n0000045"]
    assert decode_chunk_list(data["leaf"]).extents[0] == Extent(4096, A, 0)
    assert decode_chunk_list(data["inner"]).level == 1
    assert decode_manifest(data["manifest"]) == MANIFEST


def test_readers_read_the_former_format() -> None:
    """What it does not say can be told from the entry alone, or is not known."""
    data = {name: bytes.fromhex(text) for name, (_, text, _) in FORMER.items()}
    found = list(decode_tree(data["page"]).entries.values())
    known = [with_known_sums(entry) for entry in ENTRIES]
    assert all(map(is_same, found, known))
    assert [(entry.data_bytes, entry.linked) for entry in found] == [
        (4096, 0),
        (UNKNOWN, UNKNOWN),
        (3, 0),
        (0, 0),
        (5, 0),
    ]
    assert [page.totals.data for page in decode_tree(data["index"]).pages] == [UNKNOWN] * 2
    assert decode_chunk_list(data["inner"]).sums == ()
    manifest = decode_manifest(data["manifest"])
    assert (manifest.link_data, manifest.root.data, manifest.root.linked) == (UNKNOWN,) * 3
    assert manifest.snapshot.totals == Totals(1, 0, 0, 0, UNKNOWN, UNKNOWN)


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
