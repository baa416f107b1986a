"""Rows with checksums: any other key or byte is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import DamagedObjectError, StoreError
from volfs.store.checked_lmdb.checksum import add_checksum, strip_checksum
from volfs.store.checked_lmdb.environment import LmdbEnvironment


def test_layout_is_that_of_the_format() -> None:
    stored = add_checksum(b"head", b"row")
    assert stored == b"row" + bytes.fromhex("83d4e278cb3114e9")


@given(st.binary(), st.binary())
def test_a_row_comes_back(key: bytes, row: bytes) -> None:
    assert strip_checksum(key, add_checksum(key, row)) == row


@given(st.binary(), st.binary(), st.data())
def test_a_flipped_bit_is_damage(key: bytes, row: bytes, data: st.DataObject) -> None:
    stored = bytearray(add_checksum(key, row))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedObjectError):
        strip_checksum(key, bytes(stored))


@given(st.binary(), st.binary())
def test_the_row_of_another_key_is_damage(key: bytes, row: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        strip_checksum(key + b"2", add_checksum(key, row))


@given(st.binary(max_size=7))
def test_less_than_a_checksum_is_damage(stored: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        strip_checksum(b"key", stored)


def test_a_row_alone_is_what_a_transaction_finds(tmp_path: Path) -> None:
    environment = LmdbEnvironment(tmp_path)
    sums = environment.open_table(b"sums")
    plain = environment.open_table(b"plain", has_checksums=False)
    with environment.write() as txn:
        for table in (sums, plain):
            txn.put(b"key", b"row", db=table)
        txn.raw.put(b"bad", b"a row without its checksum", db=sums.raw)
    assert [environment.find_row(b"key", table) for table in (sums, plain)] == [b"row"] * 2
    assert environment.find_row(b"absent", sums) is None
    with pytest.raises(DamagedObjectError):
        environment.find_row(b"bad", sums)
    environment.close()
    with pytest.raises(StoreError, match="closed"):
        environment.find_row(b"key", sums)
