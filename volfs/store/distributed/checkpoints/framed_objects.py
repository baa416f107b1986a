"""The objects that are kept beside logs: compressed, checked, and never overwritten."""

from __future__ import annotations

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, ObjectExistsError
from volfs.model.logs.framed import Framed, decode_framed, encode_framed
from volfs.model.objects import Buffer
from volfs.store.packs.codec import compress, decompress


class FramedObjects:
    """Objects of one store, by key. Thread-safe."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def read(self, key: str, magic: bytes) -> Buffer:
        """The content of an object. One that comes damaged is asked for once more.

        DamagedObjectError; UnsupportedFormatError; ObjectNotFoundError; StoreError.
        """
        try:
            return self._get(key, magic)
        except DamagedObjectError:
            return self._get(key, magic)

    def create(self, key: str, magic: bytes, content: bytes) -> bool:
        """Make an object. False if there is one of this name already. StoreError."""
        codec, stored = compress(content)
        data = encode_framed(Framed(magic, codec, len(content), stored))
        try:
            self.bucket.put(key, data, create=True)
        except ObjectExistsError:
            return False
        return True

    def _get(self, key: str, magic: bytes) -> Buffer:
        _, data = self.bucket.get(key)
        framed = decode_framed(data, magic, key)
        return decompress(framed.codec, framed.stored, framed.raw)
