"""Lines of logs: round trips, golden bytes, and that every other byte string is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from tests.model.test_pack import make_record
from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.logs.line import (
    LINE_HEADER_SIZE,
    LINE_LIMIT,
    NO_LINE,
    Line,
    decode_line,
    digest_line,
    encode_line,
    list_records,
    make_slim,
)
from volfs.model.objects import Kind, compute_oid

LINE = Line(b"0123456789abcdef", b"\xaa" * 32, 7, bytes.fromhex("93010203"), make_record(b"hello"))
GOLDEN = (
    "564f4c46534c4e31" "30313233343536373839616263646566" + "aa" * 32 + "0700000000000000"
    "04000000" "45000000" "45000000" "0000" "0000" "93010203"
    + make_record(b"hello").hex() + "0db73a2ecb078e95"
)  # fmt: skip
GOLDEN_SLIM = (
    "564f4c46534c4e31" "30313233343536373839616263646566" + "aa" * 32 + "0700000000000000"
    "04000000" "45000000" "00000000" "0000" "0000" "93010203" "a8629a17e8c20649"
)  # fmt: skip
DIGEST = "1fe2a639239501be4101177d26d652ec463ff761368c1cd5363afc853eb946ae"

lines = st.builds(
    lambda nonce, prev, era, body, objects: Line(
        nonce, prev, era, body, b"".join(map(make_record, objects))
    ),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32) | st.just(NO_LINE),
    st.integers(0, (1 << 64) - 1),
    st.binary(max_size=200),
    st.lists(st.binary(max_size=100), max_size=4),
)
forms = lines | lines.map(make_slim)


def seal_again(data: bytes) -> bytes:
    """The bytes of a line with the checksum that its other bytes have."""
    return data[:-8] + xxh3_64_intdigest(data[:-8]).to_bytes(8, "little")


def forge(offset: int, value: bytes) -> bytes:
    """The golden line with other bytes at an offset, and the right checksum."""
    data = encode_line(LINE)
    return seal_again(data[:offset] + value + data[offset + len(value) :])


def test_golden_bytes() -> None:
    assert encode_line(LINE).hex() == GOLDEN
    assert encode_line(make_slim(LINE)).hex() == GOLDEN_SLIM
    assert digest_line(LINE).hex() == digest_line(make_slim(LINE)).hex() == DIGEST


@given(forms)
def test_what_goes_in_comes_out(line: Line) -> None:
    data = encode_line(line)
    assert decode_line(data) == line
    assert decode_line(bytearray(data)) == decode_line(memoryview(data)) == line
    assert encode_line(decode_line(data)) == data


@given(lines)
def test_the_slim_form_says_the_same(line: Line) -> None:
    slim = make_slim(line)
    assert digest_line(slim) == digest_line(line)
    assert slim.is_slim == bool(line.records)
    assert make_slim(slim) == slim
    assert decode_line(encode_line(slim))[:4] == line[:4]
    assert slim.written == line.written == len(line.records)


@given(forms, forms)
def test_a_digest_proves_all_but_the_records(one: Line, other: Line) -> None:
    alike = one[:4] == other[:4] and one.written == other.written
    assert (digest_line(one) == digest_line(other)) == alike
    for changed in (
        one._replace(nonce=bytes(a ^ 1 for a in one.nonce)),
        one._replace(prev=bytes(a ^ 1 for a in one.prev)),
        one._replace(era=one.era ^ 1),
        one._replace(body=one.body + b"\0"),
    ):
        assert digest_line(changed) != digest_line(one)


@given(forms, st.data())
def test_any_flipped_byte_is_damage(line: Line, data: st.DataObject) -> None:
    whole = bytearray(encode_line(line))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedObjectError):
        decode_line(whole)


def test_every_single_byte_that_is_flipped_is_damage() -> None:
    whole = encode_line(LINE)
    for at in range(len(whole)):
        with pytest.raises(DamagedObjectError):
            decode_line(whole[:at] + bytes((whole[at] ^ 0x20,)) + whole[at + 1 :])


@given(forms, st.data())
def test_any_cut_or_extended_line_is_damage(line: Line, data: st.DataObject) -> None:
    whole = encode_line(line)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    longer = whole + data.draw(st.binary(min_size=1, max_size=100))
    doubled = whole + whole
    for bad in (cut, longer, doubled):
        with pytest.raises(DamagedObjectError):
            decode_line(bad)
        if len(bad) >= LINE_HEADER_SIZE + 8:  # nor with a checksum that somebody made for it
            with pytest.raises(DamagedObjectError):
                decode_line(seal_again(bad))


@given(st.binary(max_size=300))
def test_other_bytes_are_damage(data: bytes) -> None:
    for bad in (data, b"VOLFSLN1" + data, seal_again(b"VOLFSLN1" + data + bytes(8))):
        with pytest.raises(DamagedObjectError):
            decode_line(bad)


def test_a_later_version_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError, match="version b'2'; this volfs reads b'1'"):
        decode_line(forge(7, b"2"))
    later = seal_again(b"VOLFSLNx" + b"whatever a later version may have there" * 5)
    with pytest.raises(UnsupportedFormatError, match="version b'x'"):
        decode_line(later)


def test_an_encrypted_line_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError, match="encrypted"):
        decode_line(forge(76, b"\x3c\0"))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (64, b"\x05\0\0\0"),  # a body that ends elsewhere
        (64, b"\xff\xff\xff\xff"),
        (68, b"\x44\0\0\0"),  # fewer records than there are
        (68, b"\0\0\0\0"),
        (72, b"\0\0\0\0"),  # slim, with records
        (72, b"\x44\0\0\0"),
        (68, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (78, b"\1\0"),
    ],
)
def test_impossible_headers_are_damage(offset: int, value: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_line(forge(offset, value))


@pytest.mark.parametrize(
    "line",
    [
        LINE._replace(nonce=b"short"),
        LINE._replace(prev=b""),
        LINE._replace(era=-1),
        LINE._replace(era=1 << 64),
        LINE._replace(removed=3),
        LINE._replace(records=b"", removed=-1),
        LINE._replace(body=bytes(LINE_LIMIT)),
        make_slim(LINE)._replace(removed=LINE_LIMIT),
    ],
)
def test_what_no_reader_would_accept_is_not_written(line: Line) -> None:
    with pytest.raises(ValueError, match="line: "):
        encode_line(line)


def test_the_longest_line_can_be_read() -> None:
    line = LINE._replace(body=bytes(LINE_LIMIT), records=b"")
    assert decode_line(encode_line(line)) == line


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_records_are_those_of_a_pack(objects: list[bytes]) -> None:
    line = LINE._replace(records=b"".join(map(make_record, objects)))
    data = encode_line(line)
    found = list_records(decode_line(data))
    assert [bytes(record.stored) for record in found] == objects
    for record, content in zip(found, objects, strict=True):
        assert record.header.oid == compute_oid(Kind.CHUNK, content)
        at = line.first_record + record.offset
        assert data[at : at + 64 + len(content)] == make_record(content)
    assert list_records(make_slim(line)) == []


def test_what_is_no_record_is_damage() -> None:
    for records in (b"x", LINE.records + b"\0", bytes(LINE.records)[:-1], b"\0" + LINE.records):
        line = decode_line(encode_line(LINE._replace(records=records)))
        with pytest.raises(DamagedObjectError, match="record at"):
            list_records(line)
