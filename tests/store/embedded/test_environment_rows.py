"""Rows and lines of volumes in environments, byte by byte: docs/format.md."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from volfs.model.manifest import make_first_manifest
from volfs.store.contract.refs import VolumeRecord
from volfs.store.embedded.refs.name_log import Naming
from volfs.store.embedded.refs.refs import encode_record, name_key, naming_of
from volfs.store.origin import describe_record, find_record

RECORD = VolumeRecord("vo-" + "z" * 22, "data", 2, 20, 1 << 40, "me", 2.5)
MAIN_ROW = (
    "87a26964b9766f2d7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a"
    "a46e616d65a464617461a770726f66696c6502aa6368756e6b5f6269747314"
    "aa637265617465645f6e73cf0000010000000000aa637265617465645f6279a26d65"
    "ab6175746f5f636f6d6d6974cb4004000000000000"
)
"""As it was written before there were environments."""


def test_a_row_of_main_says_no_environment() -> None:
    assert encode_record(RECORD).hex() == MAIN_ROW
    assert msgspec.msgpack.decode(bytes.fromhex(MAIN_ROW), type=VolumeRecord) == RECORD
    assert name_key(RECORD) == b"data"
    line = msgspec.json.encode(naming_of(RECORD))
    assert line == f'{{"volume":"{RECORD.id}","name":"data"}}'.encode()
    assert describe_record(RECORD) == '{"name":"data","auto_commit":2.5}'


def test_a_row_of_another_environment() -> None:
    record = replace(RECORD, environment="prod")
    row = encode_record(record)
    added = b"\xabenvironment\xa4prod"
    assert row.hex() == "88" + MAIN_ROW[2:] + added.hex()
    assert msgspec.msgpack.decode(row, type=VolumeRecord) == record
    assert name_key(record) == b"prod/data"
    line = msgspec.json.encode(naming_of(record))
    assert line == f'{{"volume":"{record.id}","name":"data","environment":"prod"}}'.encode()
    assert msgspec.json.decode(line, type=Naming) == naming_of(record)


@pytest.mark.parametrize(("environment", "is_ours"), [("prod", True), ("a/b", False), ("", False)])
def test_version_0_tells_the_environment(environment: str, is_ours: bool) -> None:
    record = replace(RECORD, environment=environment)
    manifest = make_first_manifest(
        record.id, nonce=bytes(16), now_ns=record.created_ns, author="me", uid=0, gid=0
    )
    said = replace(manifest, message=describe_record(record))
    assert find_record(said) == (record if is_ours else None)
