"""Objects that ride in a line, as records."""

from __future__ import annotations

from collections.abc import Iterable

from volfs.model.objects import Buffer, Kind, compute_oid
from volfs.model.pack import encode_record_header
from volfs.store.packs.codec import pack_object


def encode_records(objects: Iterable[tuple[Kind, Buffer]]) -> bytes:
    """The records of these objects, as a line has them."""
    parts: list[Buffer] = []
    for kind, data in objects:
        packed = pack_object(kind, compute_oid(kind, data), data)
        parts += (encode_record_header(packed.header), *packed.parts)
    return b"".join(parts)
