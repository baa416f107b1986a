"""A bucket in the memory of this process, for tests and simulations: every key, every answer."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.objects import (
    ALWAYS,
    BATCH,
    AbandonedUpload,
    Condition,
    ObjectHead,
    ObjectInfo,
    Page,
    TellNext,
)
from volfs.model.objects import Buffer


class _Stored(NamedTuple):
    info: ObjectInfo
    data: bytes
    mark: str


class _Upload(NamedTuple):
    leftover: AbandonedUpload
    parts: dict[int, bytes]


class MemoryDoor:
    """The door to objects in a dict. An ETag never comes twice."""

    def __init__(self, name: str = "memory", clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._name = name
        self._clock_ns = clock_ns
        self._token = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._objects: dict[str, _Stored] = {}
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count()

    def describe(self) -> str:
        return f"memory://{self._name}"

    def identify(self) -> str:
        return f"memory:{self._token}"

    def find_flaw(self, key: str) -> str:
        """Empty: a dict takes every key."""
        return ""

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def head(self, key: str, timeout: float) -> ObjectHead:
        with self._lock:
            stored = self._get(key)
        return ObjectHead(stored.info, stored.mark)

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        with self._lock:
            stored = self._get(key)
        if etag is not None and etag != stored.info.etag:
            raise RequestFailure(FailureKind.CHANGED, status=412)
        if span is None:
            return stored.info, stored.data
        offset, length = span
        if offset >= stored.info.size:
            raise RequestFailure(FailureKind.BAD_RANGE, status=416)
        return stored.info, stored.data[offset : offset + length]

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        with self._lock:
            self._check(key, condition)
            return self._store(key, bytes(data), mark)

    def begin_put(self, key: str, data: Buffer, condition: Condition, mark: str) -> None:
        """Leave it to ``put``, which never waits here."""

    def connect(self, timeout: float) -> bool:
        return False

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo:
        with self._lock:
            self._check(target, Condition(create=create))
            return self._store(target, self._get(source).data, "")

    def delete(self, key: str, timeout: float) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        if len(keys) > BATCH:
            raise RequestFailure(FailureKind.INVALID, f"more than {BATCH} keys", status=400)
        for key in keys:
            self.delete(key, timeout)

    def list_page(
        self,
        prefix: str,
        delimiter: bool,
        after: str | None,
        limit: int,
        timeout: float,
        tell: TellNext | None = None,
        begin: str | None = None,
    ) -> Page:
        with self._lock:
            names = sorted((key for key in self._objects if key.startswith(prefix)), key=_by_bytes)
            objects: list[ObjectInfo] = []
            prefixes: list[str] = []
            at = 0 if begin is None else bisect_right(names, _by_bytes(begin), key=_by_bytes)
            if after is not None:
                at = bisect_left(names, _by_bytes(after), key=_by_bytes)
            while at < len(names) and len(objects) + len(prefixes) < limit:
                head, slash, _ = names[at][len(prefix) :].partition("/")
                if delimiter and slash:
                    prefixes.append(prefix + head + slash)
                    at = _skip(names, at, prefixes[-1])
                else:
                    objects.append(self._objects[names[at]].info)
                    at += 1
        return Page(objects, prefixes, names[at] if at < len(names) else None)

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        with self._lock:
            upload = f"upload-{next(self._numbers)}"
            self._uploads[upload] = _Upload(AbandonedUpload(key, upload, self._clock_ns()), {})
        return upload

    def put_part(self, key: str, upload: str, number: int, data: Buffer, timeout: float) -> str:
        with self._lock:
            self._get_upload(key, upload).parts[number] = bytes(data)
        return hashlib.blake2b(data, digest_size=16).hexdigest()

    def complete(
        self,
        key: str,
        upload: str,
        parts: Sequence[tuple[int, str]],
        mark: str,
        timeout: float,
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        with self._lock:
            found = self._get_upload(key, upload).parts
            self._check(key, condition)
            if any(number not in found for number, _ in parts):
                raise RequestFailure(FailureKind.INVALID, "a part is missing", status=400)
            del self._uploads[upload]
            return self._store(key, b"".join(found[number] for number, _ in parts), mark)

    def abort(self, key: str, upload: str, timeout: float) -> None:
        with self._lock:
            self._uploads.pop(upload, None)

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]:
        with self._lock:
            found = [upload.leftover for upload in self._uploads.values()]
        return [leftover for leftover in found if leftover.key.startswith(prefix)]

    def _get(self, key: str) -> _Stored:
        if key not in self._objects:
            raise RequestFailure(FailureKind.NO_OBJECT, status=404)
        return self._objects[key]

    def _get_upload(self, key: str, upload: str) -> _Upload:
        found = self._uploads.get(upload)
        if found is None or found.leftover.key != key:
            raise RequestFailure(FailureKind.NO_UPLOAD, status=404)
        return found

    def _check(self, key: str, condition: Condition) -> None:
        stored = self._objects.get(key)
        if condition.create and stored is not None:
            raise RequestFailure(FailureKind.EXISTS, status=412)
        if condition.etag is None:
            return
        if stored is None or stored.info.etag != condition.etag:
            raise RequestFailure(FailureKind.CHANGED, status=412)

    def _store(self, key: str, data: bytes, mark: str) -> ObjectInfo:
        etag = f'"{next(self._numbers):032x}"'
        info = ObjectInfo(key, len(data), self._clock_ns(), etag)
        self._objects[key] = _Stored(info, data, mark)
        return info


def _by_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _skip(names: list[str], at: int, prefix: str) -> int:
    """The place of the first name, from ``at`` on, that does not begin with ``prefix``."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return bisect_left(names, _by_bytes(end), lo=at, key=_by_bytes)
