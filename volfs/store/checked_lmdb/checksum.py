"""The checksum of a row. LMDB has no checksums of its own.

Layout: docs/format.md, "Checksums of rows". The checksum covers the key as well, so that another
key's row is as wrong as a changed byte.
"""

from __future__ import annotations

from xxhash import xxh3_64

from volfs.errors import DamagedObjectError

CHECKSUM_SIZE = 8


def add_checksum(key: bytes, row: bytes) -> bytes:
    return row + _compute(key, row)


def strip_checksum(key: bytes, stored: bytes) -> bytes:
    """The row without its checksum. DamagedObjectError if it is not the row that was put under the
    key."""
    row = stored[:-CHECKSUM_SIZE]
    if stored[len(row) :] != _compute(key, row):
        raise DamagedObjectError(f"row {key!r}: its checksum is wrong")
    return row


def _compute(key: bytes, row: bytes) -> bytes:
    digest = xxh3_64(key)
    digest.update(row)
    return digest.digest()
