"""What repairs have found: objects of volumes that are lost, and objects of the bucket that are
damaged and no longer needed.

A repair deletes and overwrites nothing, so a damaged object stays where it is. A note says that
everything that needed it was mended. Each note is an object with a random name; a damaged note is
ignored, and a later repair writes what it said once more. Layout: docs/format.md, "Notes of
repairs".
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import DamagedObjectError, ObjectNotFoundError
from volfs.model.logs.change_codec import decode_content
from volfs.model.logs.framed import Framed, decode_framed, encode_framed
from volfs.model.logs.volume_facts import OidField
from volfs.model.objects import Oid
from volfs.model.pack import Codec
from volfs.store.distributed.place.object_keys import NOTES, find_note_name, make_random_name

MAGIC = b"VOLFSRN1"
MOST = 1 << 15
"""Objects in one note."""
_log = logging.getLogger(__name__)


class RepairNote(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    made_ns: Annotated[int, Meta(ge=0)]
    passed: tuple[str, ...]
    """The keys of objects that are damaged or gone, and no longer needed."""
    lost: tuple[OidField, ...]
    """Objects of which no readable record is left."""


_decoder = msgspec.msgpack.Decoder(RepairNote)


class Noted(NamedTuple):
    """What all notes say."""

    passed: frozenset[str] = frozenset()
    lost: frozenset[Oid] = frozenset()
    damaged: tuple[str, ...] = ()
    """The keys of notes that cannot be read."""


def read_notes(bucket: Bucket) -> Noted:
    """StoreError; UnsupportedFormatError."""
    keys = [info.key for info in iter_objects(bucket, NOTES) if find_note_name(info.key)]
    read = bucket.world.gather([partial(_read, bucket, key) for key in keys]) if keys else []
    notes = [note for note in read if note is not None]
    return Noted(
        frozenset(key for note in notes for key in note.passed),
        frozenset(Oid(oid) for note in notes for oid in note.lost),
        tuple(key for key, note in zip(keys, read, strict=True) if note is None),
    )


def _read(bucket: Bucket, key: str) -> RepairNote | None:
    try:
        framed = decode_framed(bucket.get(key)[1], MAGIC, key)
        return decode_content(key, _decoder, framed.stored)
    except (DamagedObjectError, ObjectNotFoundError) as error:
        _log.info("a note of a repair: %s", error)
        return None


def write_notes(bucket: Bucket, passed: Iterable[str], lost: Collection[Oid]) -> None:
    """Note what is not noted yet. StoreError."""
    oids, keys = sorted(lost), tuple(sorted(passed))
    for at in range(0, max(len(oids), 1), MOST):
        note = RepairNote(
            bucket.world.wall_ns(), keys if at == 0 else (), tuple(oids[at : at + MOST])
        )
        if note.passed or note.lost:
            content = msgspec.msgpack.encode(note)
            name = make_random_name(bucket.world.random_bytes)
            framed = Framed(MAGIC, Codec.RAW, len(content), content)
            bucket.put(NOTES + name, encode_framed(framed), create=True)
