"""``volfs.json``: the object by which a bucket, or a folder of one, is a store."""

from __future__ import annotations

import msgspec

from volfs.buckets.access import Bucket
from volfs.errors import NotAStoreError, ObjectNotFoundError, UnsupportedFormatError
from volfs.store.distributed.place.object_keys import FACTS

FORMAT = 1
FEATURES: frozenset[str] = frozenset()
"""The features that this volfs knows. It must not use a store with any other feature."""


class StoreFacts(msgspec.Struct, frozen=True):
    """The facts of a store. They never change."""

    format: int
    store: str
    """The id of the store: ``st-`` and 22 base62 characters."""
    created_ns: int
    created_by: str
    """The version of volfs that made the store."""
    service: str
    """The scheme of the address at which the store was made. For people."""
    features: tuple[str, ...] = ()


def encode_facts(facts: StoreFacts) -> bytes:
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"


def decode_facts(data: bytes, where: str) -> StoreFacts:
    """NotAStoreError for what is no ``volfs.json``; UnsupportedFormatError for one of a later
    volfs."""
    try:
        facts = msgspec.json.decode(data, type=StoreFacts)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotAStoreError(f"{where}: its {FACTS} is not what volfs writes") from None
    unknown = sorted(set(facts.features) - FEATURES)
    if facts.format != FORMAT or unknown:
        what = f"format {facts.format}" if facts.format != FORMAT else ", ".join(unknown)
        raise UnsupportedFormatError(f"{where}: the store has {what}; use a later volfs")
    return facts


def find_facts(bucket: Bucket, where: str) -> StoreFacts | None:
    """The facts of the store that is in the bucket. None if there is none."""
    try:
        _, data = bucket.get(FACTS)
    except ObjectNotFoundError:
        return None
    return decode_facts(bytes(data), where)
