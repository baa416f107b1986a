"""The bodies of a volume's lines: golden bytes, and that nothing else is accepted."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.model.logs.volumes import FACTS, OTHER, begin, make_logged, make_segment, name_pack
from tests.model.test_pack import make_record
from volfs.errors import DamagedObjectError, InvalidError, UnsupportedFormatError
from volfs.model.logs.line import NO_LINE, Line, encode_line
from volfs.model.logs.volume_changes import (
    NO_RECORDS,
    VOLUME_CHANGES,
    CarriedRecords,
    LoggedPack,
    PacksAdopted,
    PacksFenced,
    PacksMended,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    VolumeDeleted,
    VolumeForked,
    VolumeNamed,
    carry,
)
from volfs.model.logs.volume_log import VolumeState, apply
from volfs.model.objects import Kind
from volfs.model.segments.packs_named import name_line

A, B = b"\xaa" * 32, b"\xbb" * 32
ALL: dict[str, VolumeChange] = {
    "created": VolumeCreated(FACTS, ((0, A),)),
    "a fork created": VolumeCreated(
        replace(FACTS, auto_commit=2.5, environment="prod"),
        ((0, A), (1, B)),
        OTHER,
        7,
        (make_logged(1), make_logged(2)),
        (name_pack(1),),
        ((name_pack(1), (name_pack(2),)),),
        (make_segment(3),),
    ),
    "published": VersionPublished(
        2,
        A,
        1,
        "m.data-1",
        b"\1",
        ((Kind.TREE, B),),
        5,
        (make_logged(1),),
        (name_pack(2),),
        (1,),
        (make_segment(3),),
        CarriedRecords(2, 400, 138),
    ),
    "expired": VersionsExpired(((0, 0), (3, 900))),
    "tagged": VersionTagged("release", 2, True),
    "untagged": VersionTagged("release"),
    "forked": VolumeForked(OTHER, 1),
    "fenced": PacksFenced(
        (name_pack(1),),
        (make_logged(2),),
        ((name_pack(1), (name_pack(2),)),),
        (name_pack(0),),
        (OTHER,),
        ("m.data-1",),
    ),
    "adopted": PacksAdopted((name_pack(1),), 9),
    "mended": PacksMended((make_logged(2),), (name_pack(1),), (name_pack(3),)),
    "named": VolumeNamed("new", "main"),
    "deleted": VolumeDeleted(),
}
GOLDEN = {
    "created": (
        "919aa76372656174656498b9766f2d30303030303030303030303030303030303030303031a464617461"
        "0214cf17979cfe362a0000a76d6540686f7374c0a46d61696e919200c420aaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0009090909093000000"
    ),
    "a fork created": (
        "919aa76372656174656498b9766f2d30303030303030303030303030303030303030303031a464617461"
        "0214cf17979cfe362a0000a76d6540686f7374cb4004000000000000a470726f64929200c420aaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9201c420bbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb9766f2d30303030303030303030303030303030"
        "303030303032079294ba6261616161616161616161616161616161616161616161616161cd1389cd0fa0"
        "0a94ba6361616161616161616161616161616161616161616161616161cd138acd0fa00a91ba62616161"
        "616161616161616161616161616161616161616161619192ba6261616161616161616161616161616161"
        "61616161616161616191ba63616161616161616161616161616161616161616161616161619195b9766f"
        "2d30303030303030303030303030303030303030303031ba646161616161616161616161616161616161"
        "6161616161616161ce00011170ce000101d0cd05dc93000000"
    ),
    "published": (
        "919da97075626c697368656402c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaa01a86d2e646174612d31c40101919202c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbbb059194ba62616161616161616161616161616161616161616161616161"
        "61cd1389cd0fa00a91ba636161616161616161616161616161616161616161616161616191019195b976"
        "6f2d30303030303030303030303030303030303030303031ba6461616161616161616161616161616161"
        "616161616161616161ce00011170ce000101d0cd05dc9302cd0190cc8a"
    ),
    "expired": "9192a765787069726564929200009203cd0384",
    "tagged": "9194a6746167676564a772656c6561736502c3",
    "untagged": "9194a6746167676564a772656c65617365ffc2",
    "forked": "9193a6666f726b6564b9766f2d3030303030303030303030303030303030303030303201",
    "fenced": (
        "9197a666656e63656491ba62616161616161616161616161616161616161616161616161619194ba6361"
        "616161616161616161616161616161616161616161616161cd138acd0fa00a9192ba6261616161616161"
        "61616161616161616161616161616161616191ba63616161616161616161616161616161616161616161"
        "6161616191ba616161616161616161616161616161616161616161616161616191b9766f2d3030303030"
        "303030303030303030303030303030303291a86d2e646174612d31"
    ),
    "adopted": "9193a761646f7074656491ba626161616161616161616161616161616161616161616161616109",
    "mended": (
        "9194a66d656e6465649194ba6361616161616161616161616161616161616161616161616161cd138acd"
        "0fa00a91ba626161616161616161616161616161616161616161616161616191ba646161616161616161"
        "6161616161616161616161616161616161"
    ),
    "named": "9193a56e616d6564a36e6577a46d61696e",
    "deleted": "9191a764656c65746564",
}


@pytest.mark.parametrize("what", ALL)
def test_golden_bytes(what: str) -> None:
    body = VOLUME_CHANGES.encode([ALL[what]])
    assert body.hex() == GOLDEN[what]
    assert VOLUME_CHANGES.decode(body) == (ALL[what],)


def test_a_body_has_several_changes_in_order() -> None:
    changes = tuple(ALL.values())
    assert VOLUME_CHANGES.decode(VOLUME_CHANGES.encode(changes)) == changes
    assert VOLUME_CHANGES.decode(b"\x90") == ()


def test_a_change_of_a_later_volfs_is_refused_by_name() -> None:
    body = msgspec.msgpack.encode([["named", "x", "main"], ["merged", 1, {"a": None}]])
    with pytest.raises(UnsupportedFormatError, match="a change named 'merged'"):
        VOLUME_CHANGES.decode(body)


BAD = {
    "nothing": b"",
    "no array": b"\x80",
    "an empty change": b"\x91\x90",
    "no name": msgspec.msgpack.encode([[1, 2]]),
    "bytes behind it": VOLUME_CHANGES.encode([VolumeDeleted()]) + b"\0",
    "more fields": msgspec.msgpack.encode([["deleted", 1]]),
    "a field too few": msgspec.msgpack.encode([["named", "x"]]),
    "a negative version": msgspec.msgpack.encode([["published", -1, A, 0]]),
    "a tag of version -2": msgspec.msgpack.encode([["tagged", "a", -2]]),
    "a short manifest": msgspec.msgpack.encode([["published", 1, A[1:], 0]]),
    "an impossible kind": msgspec.msgpack.encode([["published", 1, A, 0, "", b"", [[9, A]]]]),
    "a pack's name": msgspec.msgpack.encode([["adopted", ["../../etc/passwd"], 1]]),
    "a pack's name and more": msgspec.msgpack.encode([["adopted", [name_pack(1) + "\n"], 1]]),
    "a volume's id": msgspec.msgpack.encode([["forked", "vo-1/../2", 1]]),
    "no versions": msgspec.msgpack.encode([["expired", []]]),
    "no first manifest": msgspec.msgpack.encode([["created", FACTS, []]]),
    "deep": b"\x91" * 100_000,
    "no UTF-8": msgspec.msgpack.encode([["named", "xyz", "main"]]).replace(b"xyz", b"\xff\xfe\xfd"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_bodies_are_damage(case: str) -> None:
    with pytest.raises(DamagedObjectError, match="line of a volume"):
        VOLUME_CHANGES.decode(BAD[case])


@given(st.sampled_from(sorted(ALL)), st.data())
def test_damaged_bodies_never_raise_anything_else(what: str, data: st.DataObject) -> None:
    whole = bytearray(VOLUME_CHANGES.encode([ALL[what]]))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for candidate in (whole, data.draw(st.binary(max_size=40))):
        try:
            VOLUME_CHANGES.decode(candidate)
        except (DamagedObjectError, UnsupportedFormatError):
            pass


@pytest.mark.parametrize(
    "change",
    [
        VersionPublished(-1, A, 0),
        VersionPublished(1, b"short", 0),
        VersionPublished(1, A, 0, packs=(LoggedPack("no name", 1, 1, 1),)),
        VolumeNamed("", "main"),
        VolumeNamed("\ud800", "main"),
        VersionTagged("t" * 65, 1),
        VolumeCreated(replace(FACTS, id="data"), ((0, A),)),
    ],
)
def test_what_no_reader_would_accept_is_not_written(change: VolumeChange) -> None:
    with pytest.raises(InvalidError, match="line of a volume"):
        VOLUME_CHANGES.encode([change])


@pytest.mark.parametrize("more", [*range(0, 300, 7), 65_000, 65_300])
def test_a_change_says_where_the_records_of_its_line_begin(more: int) -> None:
    """Whatever length that gives the change itself."""
    records = make_record(b"one") + make_record(b"two")
    change = carry(VersionPublished(1, A, 0, "", bytes(more)), 2, len(records))
    line = Line(b"n" * 16, NO_LINE, 0, VOLUME_CHANGES.encode([change]), records)
    data = encode_line(line)
    state = apply(None, 0, 0, (begin(),))
    state = apply(state, 1, 0, (change,))
    pack = state.packs.packs[name_line(FACTS.id, 1)].pack
    assert (pack.length, pack.footer, pack.count) == (len(data), line.first_record, 2)
    assert data[pack.footer : pack.length - 8] == records
    assert carry(change, 0, 0).carried == NO_RECORDS
    relying = VersionPublished(2, A, 1, relies=(pack.name,))
    assert apply(state, 2, 0, (relying,)).versions.head == 2


# --- what a line costs -------------------------------------------------------------


def make_long(count: int) -> VolumeState:
    """A volume with so many versions, packs and tags."""
    packs = tuple(map(make_logged, range(count)))
    state = apply(None, 0, 0, (begin(*range(count), packs=packs),))
    return apply(state, 1, 0, tuple(VersionTagged(f"t{n}", n) for n in range(count // 2)))


def measure_growth(state: VolumeState) -> int:
    """The bytes that the states after some lines have allocated at most."""
    tracemalloc.start()
    head = state.versions.head
    published = VersionPublished(head + 1, A, head, packs=(make_logged(1 << 40),))
    state = apply(state, 2, 0, (published,))
    state = apply(state, 3, 0, (VersionsExpired(((head - 1, head),)), VersionTagged("a", 5)))
    apply(state, 4, 1, (PacksFenced((name_pack(1), name_pack(2))),))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_line_costs_what_it_changes() -> None:
    """Not what there is: a copied table of 20,000 rows would be some MB."""
    small, large = make_long(100), make_long(20_000)
    assert measure_growth(large) < measure_growth(small) + 64_000
