"""Manifests: what goes in comes out, and nothing else is accepted."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.errors import DamagedObjectError, UserError
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.manifest import (
    AUTHOR_MAX,
    MESSAGE_MAX,
    Snapshot,
    decode_manifest,
    encode_manifest,
    make_first_manifest,
)
from volfs.model.objects import Oid

OID = Oid(b"\7" * 32)
FIRST = make_first_manifest(
    "vo-1", nonce=b"n" * 16, now_ns=1_700_000_000_000_000_000, author="me", uid=1, gid=2
)
change = msgspec.structs.replace

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OIDS = st.sampled_from([b"", OID])


@given(st.integers(0, 1 << 62), OIDS, st.integers(-(1 << 63), (1 << 63) - 1), TEXT, TEXT, OIDS)
def test_what_goes_in_comes_out(
    version: int, parent: bytes, created: int, author: str, message: str, links: bytes
) -> None:
    manifest = change(
        FIRST,
        version=version,
        parent=parent,
        created_ns=created,
        author=author,
        message=message,
        links=links,
        link_files=3,
        auto=True,
    )
    assert decode_manifest(encode_manifest(manifest)) == manifest


def test_the_first_manifest_is_an_empty_root() -> None:
    assert (FIRST.version, FIRST.parent, FIRST.message) == (0, b"", "")
    root = FIRST.root
    assert (root.kind, root.mode, root.uid, root.gid) == (FileKind.DIRECTORY, 0o755, 1, 2)
    assert root.mtime_ns == root.ctime_ns == FIRST.created_ns
    assert FIRST.snapshot == Snapshot(root, Oid(b""), 0, 0, 0)
    assert FIRST.snapshot.totals == (0, 0, 0, 0, 0, 0)


def test_totals_are_those_of_both_trees() -> None:
    root = replace(
        FIRST.root, root=OID, files=3, directories=2, content_bytes=10, data_bytes=8, linked=6
    )
    changed = change(FIRST, root=root, links=OID, link_files=4, link_bytes=5, link_data=1)
    snapshot = changed.snapshot
    assert snapshot.totals == (7, 2, 15, 0, 9, 6)
    assert snapshot._replace(link_data=-1).totals == (7, 2, 15, 0, -1, 6)
    assert snapshot.totals.inodes == 9


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("author", "x" * (AUTHOR_MAX + 1)),
        ("message", "x" * (MESSAGE_MAX + 1)),
        ("author", "\udc80" * (AUTHOR_MAX // 3 + 1)),
        ("message", "\udc80" * (MESSAGE_MAX // 3 + 1)),
    ],
)
def test_text_that_no_reader_would_accept_is_not_written(field: str, text: str) -> None:
    with pytest.raises(UserError, match=field):
        encode_manifest(change(FIRST, **{field: text}))


@pytest.mark.parametrize("text", ["caf\udce9", "\udcff" * 80, "a\0b", "\ud800", "\0e9", ""])
def test_any_text_is_kept(text: str) -> None:
    manifest = change(FIRST, author=text, message=text)
    assert decode_manifest(encode_manifest(manifest)) == manifest


def test_a_root_that_no_reader_would_accept_is_not_written() -> None:
    with pytest.raises(DamagedObjectError):
        encode_manifest(change(FIRST, root=replace(FIRST.root, mtime_ns=1 << 63)))


def test_the_longest_texts_can_be_read() -> None:
    manifest = change(FIRST, author="é" * AUTHOR_MAX, message="é" * MESSAGE_MAX)
    assert decode_manifest(encode_manifest(manifest)) == manifest


def encoded(**changes: object) -> bytes:
    return msgspec.msgpack.encode(change(FIRST, **changes))


BAD = {
    "empty": b"",
    "not an array": msgspec.msgpack.encode({}),
    "trailing bytes": encoded() + b"\0",
    "no UTF-8": encoded(author="xyz").replace(b"xyz", b"\xff\xfe\xfd"),
    "long volume": encoded(volume="v" * 65),
    "long author": encoded(author="x" * 257),
    "long message": encoded(message="x" * 65_537),
    "negative version": encoded(version=-1),
    "short nonce": encoded(nonce=b"n" * 15),
    "long nonce": encoded(nonce=b"n" * 17),
    "short parent": encoded(parent=OID[1:]),
    "short links": encoded(links=OID[1:]),
    "long links": encoded(links=OID + b"1"),
    "auto is no bool": encoded(auto=1),
    "root is a file": encoded(root=Entry(b"root", FileKind.FILE)),
    "root has no name": encoded(root=replace(FIRST.root, name=b"")),
    "root of a short tree": encoded(root=replace(FIRST.root, root=b"1")),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_impossible_manifests_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_manifest(data)


def test_truncations_are_damage() -> None:
    data = encode_manifest(FIRST)
    needed = len(msgspec.msgpack.encode([FIRST.root])) - 1
    for end in range(needed):
        with pytest.raises(DamagedObjectError):
            decode_manifest(data[:end])


@given(st.data())
@settings(max_examples=200)
def test_damaged_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    whole = bytearray(encode_manifest(FIRST))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for candidate in (whole, data.draw(st.binary(max_size=40))):
        try:
            decode_manifest(candidate)
        except DamagedObjectError:
            pass
