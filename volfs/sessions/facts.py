"""The files of a session's directory, and the content of ``session.json``."""

from __future__ import annotations

import msgspec
from xxhash import xxh3_64_hexdigest

from volfs.model.text_json import decode_json, encode_json

SESSIONS, FACTS, LOCK, DEVICE = "mounts", "session.json", "lock", "device"
CATALOG, SCRATCH = "catalog", "scratch"
REMOVED = ".removed"
"""The ending of the name of a directory that is being deleted."""


class SessionFacts(msgspec.Struct):
    """The content of ``session.json``. If it is unreadable, the overlay is that of an unknown
    volume."""

    volume_id: str = ""
    volume: str = ""
    mountpoint: str = ""
    pid: int = 0
    base_version: int = 0
    created_ns: int = 0
    read_only: bool = False
    sub_path: str = ""
    checksum: str = ""
    """The xxh3-64 of the file with an empty checksum."""


def encode_facts(facts: SessionFacts) -> bytes:
    plain = encode_json(msgspec.structs.replace(facts, checksum=""))
    sealed = msgspec.structs.replace(facts, checksum=xxh3_64_hexdigest(plain))
    return encode_json(sealed)


def decode_facts(data: bytes) -> SessionFacts:
    """Decode ``session.json``. ValueError for anything that ``encode_facts`` has not made."""
    facts = decode_json(data, SessionFacts)
    if encode_facts(facts) != data:
        raise ValueError("checksum")
    return facts
