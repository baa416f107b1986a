"""Bytes that end with the checksum of all others, and begin with a name and a version.

The checksum is compared before the version. So bytes of a later version are known for what they
are, and damaged bytes never pass for them.
"""

from __future__ import annotations

from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.objects import Buffer

CHECKSUM_SIZE = 8
NAME_SIZE = 7
"""Bytes of the name. The byte after it is the version, a character."""


def add_checksum(parts: Iterable[Buffer]) -> bytes:
    """The parts as one, with their checksum behind them."""
    whole = b"".join(parts)
    return whole + xxh3_64_intdigest(whole).to_bytes(CHECKSUM_SIZE, "little")


def check_whole(view: memoryview, magic: bytes, smallest: int, what: str) -> None:
    """DamagedObjectError unless these are bytes with that name, as they were written.

    UnsupportedFormatError if they are, and of another version than ``magic``.
    """
    if len(view) < smallest or view[:NAME_SIZE] != magic[:NAME_SIZE]:
        raise DamagedObjectError(f"{what}: {len(view)} bytes that are none")
    checksum = int.from_bytes(view[-CHECKSUM_SIZE:], "little")
    if checksum != xxh3_64_intdigest(view[:-CHECKSUM_SIZE]):
        raise DamagedObjectError(f"{what}: checksum")
    version, ours = bytes(view[NAME_SIZE : NAME_SIZE + 1]), magic[NAME_SIZE:]
    if version != ours:
        raise UnsupportedFormatError(f"{what}: version {version!r}; this volfs reads {ours!r}")


def check_not_encrypted(key: int, what: str) -> None:
    """UnsupportedFormatError if there is a sealed key, of that many bytes."""
    if key:
        raise UnsupportedFormatError(f"{what}: it is encrypted; this volfs reads none that is")
