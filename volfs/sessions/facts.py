"""The files of a session's directory, and what ``session.json`` says."""

from __future__ import annotations

import msgspec
from xxhash import xxh3_64_hexdigest

from volfs.model.text_json import decode_json, encode_json

SESSIONS, FACTS, LOCK, DEVICE = "mounts", "session.json", "lock", "device"
CATALOG, SCRATCH = "catalog", "scratch"
REMOVED = ".removed"
"""Ends the name of a directory that is being deleted."""


class SessionFacts(msgspec.Struct):
    """``session.json``. Unreadable ones count as an overlay of an unknown volume."""

    volume_id: str = ""
    volume: str = ""
    mountpoint: str = ""
    pid: int = 0
    base_version: int = 0
    created_ns: int = 0
    read_only: bool = False
    sub_path: str = ""
    checksum: str = ""
    """xxh3-64 of the file as it is with an empty one."""


def encode_facts(facts: SessionFacts) -> bytes:
    plain = encode_json(msgspec.structs.replace(facts, checksum=""))
    sealed = msgspec.structs.replace(facts, checksum=xxh3_64_hexdigest(plain))
    return encode_json(sealed)


def decode_facts(data: bytes) -> SessionFacts:
    """ValueError for anything but what ``encode_facts`` makes."""
    facts = decode_json(data, SessionFacts)
    if encode_facts(facts) != data:
        raise ValueError("checksum")
    return facts
