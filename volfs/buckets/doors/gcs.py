"""The door to Google Cloud Storage by its XML interface, which is S3's with names and conditions
of its own.

An object's ETag is its generation here. A generation never comes twice, and every condition can
name it. Google's own ETag is only a digest of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from volfs.buckets.doors.s3 import S3Door
from volfs.buckets.doors.s3_listing import GENERATION
from volfs.buckets.objects import ALWAYS, Condition, ObjectInfo

DELETERS = 8
_MATCH = "x-goog-if-generation-match"
_RESERVED = ".well-known/acme-challenge/"


class GcsDoor(S3Door):
    """The door to one bucket of Google's."""

    family = "x-goog-"
    tag = GENERATION

    def find_flaw(self, key: str) -> str:
        if "\n" in key or "\r" in key:
            return "Google takes no line break in a key"
        return "Google keeps such keys for itself" if key.startswith(_RESERVED) else ""

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        """Send one request for each key, some of them at once: the interface has no request for
        many keys."""
        with ThreadPoolExecutor(DELETERS) as pool:
            list(pool.map(lambda key: self.delete(key, timeout), keys))

    def complete(
        self,
        key: str,
        upload: str,
        parts: Sequence[tuple[int, str]],
        mark: str,
        timeout: float,
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        """Complete an upload without its condition: Google knows none here."""
        return super().complete(key, upload, parts, mark, timeout)

    def _pin(self, etag: str | None) -> dict[str, str]:
        return {} if etag is None else {_MATCH: _to_generation(etag)}

    def _require(self, condition: Condition) -> dict[str, str]:
        if condition.create:
            return {_MATCH: "0"}
        return self._pin(condition.etag)

    def _read_etag(self, headers: Mapping[str, str]) -> str:
        return _to_etag(headers.get("x-goog-generation", ""))


def _to_etag(generation: str) -> str:
    return f'"{generation}"' if generation else ""


def _to_generation(etag: str) -> str:
    return etag.strip('"')
