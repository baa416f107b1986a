"""The door to Azure Blob Storage, which calls a bucket a container, and an object a blob."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote
from uuid import uuid4
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.azure_codes import to_failure
from volfs.buckets.doors.bodies import check_span, cut_span, digest, to_lost
from volfs.buckets.doors.http_door import DoorPut, HttpDoor
from volfs.buckets.doors.xml_answers import get_text, iter_texts, parse, parse_http_time
from volfs.buckets.http_values import Reply, encode_path
from volfs.buckets.objects import (
    ALWAYS,
    AbandonedUpload,
    Condition,
    ObjectHead,
    ObjectInfo,
    Page,
    TellNext,
)
from volfs.errors import InvalidOperationError
from volfs.model.objects import Buffer
from volfs.model.text import show

MARK = "x-ms-meta-volfsmark"
"""The part after ``meta-`` must be a name as programming languages have them."""
DELETERS = 8
COPY_POLL = 0.2
SEGMENTS_MAX = 254
_CONTAINER = {"restype": "container"}
_CONTROL = re.compile("[\x00-\x1f\x7f\x81]")


class AzureDoor(HttpDoor):
    """The door to one container."""

    def find_flaw(self, key: str) -> str:
        if "\\" in key:
            return "Azure takes a backslash for a slash"
        if _CONTROL.search(key):
            return "Azure takes no control character in a key"
        return f"Azure takes at most {SEGMENTS_MAX} names in a key" if _is_deep(key) else ""

    def _send(
        self,
        method: str,
        key: str,
        timeout: float,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Buffer = b"",
    ) -> Reply:
        """Refuse keys that Azure cannot have, because it takes some of them for other keys.
        InvalidOperationError."""
        flaw = self.find_flaw(key)
        if flaw:
            raise InvalidOperationError(f"{show(key)}: {flaw}")
        return super()._send(method, key, timeout, query, headers, body)

    def create_bucket(self, timeout: float) -> None:
        """Make the container. Only tests use this."""
        self._send("PUT", "", timeout, _CONTAINER)

    # --- objects ----------------------------------------------------------------

    def head(self, key: str, timeout: float) -> ObjectHead:
        headers = self._send("HEAD", key, timeout).headers
        size = int(headers.get("content-length", "0"))
        return ObjectHead(_read_info(key, headers, size), headers.get(MARK, ""))

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        headers = {} if etag is None else {"if-match": etag}
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[0] + span[1] - 1}"
        reply = self._send("GET", key, timeout, headers=headers)
        if span is None or reply.status != 206:
            _check_sum(reply)
            return _read_info(key, reply.headers, len(reply.data)), cut_span(reply.data, span)
        return _read_info(key, reply.headers, check_span(reply, span)), reply.data

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        try:
            headers = _write_put(data, condition, mark)
            reply = self._send("PUT", key, timeout, headers=headers, body=data)
        except RequestFailure as failure:
            raise to_lost(failure, condition) from None
        return _read_info(key, reply.headers, len(data))

    def begin_put(self, key: str, data: Buffer, condition: Condition, mark: str) -> DoorPut | None:
        """Begin as ``put`` does. None for a key that Azure cannot have: ``put`` says why."""
        if self.find_flaw(key):
            return None
        exchange = self._begin(key, _write_put(data, condition, mark), data)

        def read(reply: Reply) -> ObjectInfo:
            try:
                return _read_info(key, self._check(reply).headers, len(data))
            except RequestFailure as failure:
                raise to_lost(failure, condition) from None

        return None if exchange is None else DoorPut(exchange, read)

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo:
        """Ask for a copy, and then until the service says that the copy is done: it copies at its
        own time."""
        condition = Condition(create=create)
        url = f"{self._wire.root}{self._place.path}/{encode_path(source)}"
        headers = {"x-ms-copy-source": self._signer.vouch(url)} | _require(condition)
        try:
            reply = self._send("PUT", target, timeout, headers=headers)
        except RequestFailure as failure:
            raise to_lost(failure, condition) from None
        waiting = threading.Event()
        while reply.headers.get("x-ms-copy-status") == "pending":
            waiting.wait(COPY_POLL)
            reply = self._send("HEAD", target, timeout)
        return self.head(target, timeout).info

    def delete(self, key: str, timeout: float) -> None:
        try:
            self._send("DELETE", key, timeout, headers={"x-ms-delete-snapshots": "include"})
        except RequestFailure as failure:
            if failure.kind is not FailureKind.NO_OBJECT:
                raise

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        """Send one request for each key, some of them at once."""
        with ThreadPoolExecutor(DELETERS) as pool:
            list(pool.map(lambda key: self.delete(key, timeout), keys))

    # --- listings ---------------------------------------------------------------

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
        query = _CONTAINER | {"comp": "list", "maxresults": str(limit)}
        query |= {"prefix": prefix} if prefix else {}
        query |= {"delimiter": "/"} if delimiter else {}
        query |= {"marker": after} if after is not None else {}
        root = parse(self._send("GET", "", timeout, query).body)
        objects = [_read_entry(entry) for entry in root.iterfind("Blobs/Blob")]
        prefixes = [_read_name(entry) for entry in root.iterfind("Blobs/BlobPrefix")]
        return Page(objects, prefixes, next(iter_texts(root, "NextMarker"), "") or None)

    # --- uploads in parts -------------------------------------------------------

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        """A new name, without a request: only their names tell to which upload blocks belong."""
        return uuid4().hex

    def put_part(self, key: str, upload: str, number: int, data: Buffer, timeout: float) -> str:
        name = base64.b64encode(f"{upload}-{number:05d}".encode()).decode()
        query = {"comp": "block", "blockid": name}
        self._send("PUT", key, timeout, query, {"content-md5": digest(data)}, data)
        return name

    def complete(
        self,
        key: str,
        upload: str,
        parts: Sequence[tuple[int, str]],
        mark: str,
        timeout: float,
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        listed = "".join(f"<Latest>{escape(name)}</Latest>" for _, name in parts)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        headers = {MARK: mark, "content-type": "application/xml"} | _require(condition)
        try:
            self._send("PUT", key, timeout, {"comp": "blocklist"}, headers, body)
        except RequestFailure as failure:
            raise to_lost(failure, condition) from None
        return self.head(key, timeout).info

    def abort(self, key: str, upload: str, timeout: float) -> None:
        """Do nothing: Azure itself forgets blocks after a week."""

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]:
        """An empty list: blocks that belong to no blob cannot be told apart by uploads."""
        return []

    def _to_failure(self, reply: Reply) -> RequestFailure:
        return to_failure(reply, signed=self._signer.signs)


def _is_deep(key: str) -> bool:
    return key.rstrip("/").count("/") >= SEGMENTS_MAX


def _write_put(data: Buffer, condition: Condition, mark: str) -> dict[str, str]:
    """The headers of a write."""
    headers = {"x-ms-blob-type": "BlockBlob", "content-md5": digest(data)}
    return headers | _require(condition) | ({MARK: mark} if mark else {})


def _require(condition: Condition) -> dict[str, str]:
    if condition.create:
        return {"if-none-match": "*"}
    return {} if condition.etag is None else {"if-match": condition.etag}


def _read_info(key: str, headers: object, size: int) -> ObjectInfo:
    get = headers.get  # type: ignore[attr-defined]
    return ObjectInfo(key, size, parse_http_time(get("last-modified")), get("etag", ""))


def _read_entry(entry: Element) -> ObjectInfo:
    properties = entry.find("Properties")
    if properties is None:
        raise RequestFailure(FailureKind.SHORT, "an entry of the listing has no properties")
    etag = get_text(properties, "Etag").strip('"')
    time_ns = parse_http_time(get_text(properties, "Last-Modified"))
    size = int(get_text(properties, "Content-Length") or 0)
    return ObjectInfo(_read_name(entry), size, time_ns, f'"{etag}"')


def _read_name(entry: Element) -> str:
    name = entry.find("Name")
    if name is None:
        return ""
    text = name.text or ""
    return unquote(text) if name.get("Encoded") == "true" else text


def _check_sum(reply: Reply) -> None:
    stated = reply.headers.get("content-md5")
    if stated and reply.status == 200 and digest(reply.data) != stated:
        raise RequestFailure(FailureKind.SHORT, "the bytes are not those that the service has")
