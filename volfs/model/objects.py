"""Object ids, kinds, and the two callables through which pure code meets a store."""

from __future__ import annotations

import enum
from typing import NewType, Protocol

from blake3 import blake3

Oid = NewType("Oid", bytes)
"""BLAKE3-256 of the kind's byte followed by the canonical uncompressed bytes."""

OID_SIZE = 32
NO_OID = Oid(b"")
"""The id in places that may have no object: an empty tree, a hole."""

Buffer = bytes | bytearray | memoryview


class Kind(enum.IntEnum):
    """What an object is. The kind is part of the id, so a tree can never pass for a chunk."""

    CHUNK = 1
    TREE = 2
    CHUNK_LIST = 3
    MANIFEST = 4


def compute_oid(kind: Kind, data: Buffer) -> Oid:
    return Oid(blake3(bytes((kind,))).update(data).digest())


class Load(Protocol):
    """Canonical bytes of an object; raises ``DataError`` if missing or damaged."""

    def __call__(self, oid: Oid, /) -> bytes: ...


class Put(Protocol):
    """Keep an object and return its id; idempotent."""

    def __call__(self, kind: Kind, data: Buffer, /) -> Oid: ...
