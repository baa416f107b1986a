"""Packs by name: what a line, a segment and a state say of a pack that is in a bucket."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer

NAME_MAX = 64
_ROW = struct.Struct("<BQQI")


class NamedPack(NamedTuple):
    """A pack in a bucket, or a line that has records in itself.

    A pack's name is random; a line's is its volume's id, ``/``, and its number.
    """

    name: str
    length: int
    footer: int
    """Where the footer begins. In a line, where its records begin."""
    records: int
    """How many records there are."""

    @property
    def is_line(self) -> bool:
        return "/" in self.name


def name_line(volume_id: str, number: int) -> str:
    """The name by which a line with records counts as a pack."""
    return f"{volume_id}/{number:016x}"


def encode_packs(packs: list[NamedPack]) -> bytes:
    rows = []
    for name, length, footer, records in packs:
        said = name.encode("ascii")
        if not 0 < len(said) <= NAME_MAX:
            raise ValueError(f"a pack's name of {len(said)} bytes")
        rows.append(_ROW.pack(len(said), length, footer, records) + said)
    return b"".join(rows)


def iter_packs(data: Buffer, count: int) -> Iterator[NamedPack]:
    """The packs, of which there must be as many as said, and nothing else. DamagedObjectError."""
    view, at = memoryview(data), 0
    try:
        for _ in range(count):
            size, length, footer, records = _ROW.unpack_from(view, at)
            at += _ROW.size
            said = bytes(view[at : at + size])
            if len(said) != size or not 0 < size <= NAME_MAX or footer > length:
                raise DamagedObjectError("table of packs: cut short, or a wrong length")
            yield NamedPack(said.decode("ascii"), length, footer, records)
            at += size
    except (struct.error, UnicodeDecodeError) as error:
        raise DamagedObjectError(f"table of packs: {error}") from error
    if at != len(view):
        raise DamagedObjectError("table of packs: more bytes than packs")
