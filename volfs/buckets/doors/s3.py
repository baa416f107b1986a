"""The door to S3 and to services that speak as S3 does: R2, MinIO, Ceph, SeaweedFS."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.credentials.signing import Signer
from volfs.buckets.doors.bodies import check_span, cut_span, digest, is_whole, to_lost
from volfs.buckets.doors.http_door import BucketPlace, DoorPut, HttpDoor
from volfs.buckets.doors.s3_codes import to_failure
from volfs.buckets.doors.s3_listing import (
    ETAG,
    decode_keys,
    has_encoded_keys,
    quote_etag,
    read_listing,
)
from volfs.buckets.doors.xml_answers import (
    get_text,
    parse,
    parse_http_time,
    parse_time,
)
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
from volfs.buckets.wire import Wire
from volfs.model.objects import Buffer

MARK = "volfs-mark"
NOT_IMPLEMENTED = 501
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
_XML = {"content-type": "application/xml"}


Reopen = Callable[[str], tuple[BucketPlace, Wire, Signer]]


class S3Door(HttpDoor):
    """The door to one bucket. Every method is one request, unless its docstring says why there are
    more."""

    family = "x-amz-"
    tag = ETAG
    """The element of a listing's entry that says which object it is."""
    reopen: Reopen | None = None
    """Opens the bucket in another region. None if the user named the region."""

    def _to_failure(self, reply: Reply) -> RequestFailure:
        return to_failure(reply, signed=self._signer.signs)

    def create_bucket(self, timeout: float) -> None:
        """Make the bucket. Only tests use this, because buckets belong to users."""
        self._send("PUT", "", timeout)

    # --- objects ----------------------------------------------------------------

    def head(self, key: str, timeout: float) -> ObjectHead:
        try:
            reply = self._send("HEAD", key, timeout)
        except RequestFailure as failure:
            self._explain(failure, key, timeout)
            raise failure from None
        info = self._read_info(key, reply, int(reply.headers.get("content-length", "0")))
        return ObjectHead(info, reply.headers.get(f"{self.family}meta-{MARK}", ""))

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        headers = self._pin(etag)
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[0] + span[1] - 1}"
        reply = self._send("GET", key, timeout, headers=headers)
        if reply.status != 206 and not is_whole(reply):
            self._compare(reply, self._send("GET", key, timeout, headers=headers))
        if span is None or reply.status != 206:
            return self._read_info(key, reply, len(reply.data)), cut_span(reply.data, span)
        size = check_span(reply, span)
        return self._read_info(key, reply, size), reply.data

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        headers = self._require(condition) | self._mark(mark) | self._sum(data)
        try:
            reply = self._send("PUT", key, timeout, headers=headers, body=data)
        except RequestFailure as failure:
            raise to_lost(failure, condition) from None
        return self._read_info(key, reply, len(data))

    def begin_put(self, key: str, data: Buffer, condition: Condition, mark: str) -> DoorPut | None:
        headers = self._require(condition) | self._mark(mark) | self._sum(data)
        exchange = self._begin(key, headers, data)

        def read(reply: Reply) -> ObjectInfo:
            try:
                return self._read_info(key, self._check(reply), len(data))
            except RequestFailure as failure:
                raise to_lost(failure, condition) from None

        return None if exchange is None else DoorPut(exchange, read)

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo:
        """Copy with two requests or more: not every service refuses to copy onto an existing
        object, and the answer to a copy has no size."""
        condition = Condition(create=create)
        if create and self._exists(target, timeout):
            raise RequestFailure(FailureKind.EXISTS, status=412)
        headers = {f"{self.family}copy-source": encode_path(f"/{self._bucket}/{source}")}
        headers |= self._require(condition)
        try:
            reply = self._send("PUT", target, timeout, headers=headers)
        except RequestFailure as failure:
            raise to_lost(failure, condition) from None
        self._check_body(reply)
        return self.head(target, timeout).info

    def delete(self, key: str, timeout: float) -> None:
        try:
            self._send("DELETE", key, timeout)
        except RequestFailure as failure:
            if failure.kind is not FailureKind.NO_OBJECT:
                raise

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        """Send one request, and one more for each key that XML cannot have."""
        for key in filter(_UNSPEAKABLE.search, keys):
            self.delete(key, timeout)
        listed = "".join(
            f"<Object><Key>{escape(key)}</Key></Object>"
            for key in keys
            if not _UNSPEAKABLE.search(key)
        )
        if not listed:
            return
        body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
        headers = _XML | {"content-md5": digest(body)}
        reply = self._send("POST", "", timeout, {"delete": ""}, headers, body)
        self._check_deleted(reply)

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
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(limit)}
        query |= {"prefix": prefix} if prefix else {}
        query |= {"delimiter": "/"} if delimiter else {}
        query |= {"continuation-token": after} if after is not None else {}
        query |= {"start-after": begin} if begin is not None and after is None else {}
        return read_listing(self._send("GET", "", timeout, query).body, self.tag, tell)

    # --- uploads in parts -------------------------------------------------------

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        reply = self._send("POST", key, timeout, {"uploads": ""}, self._mark(mark))
        return get_text(parse(reply.body), "UploadId")

    def put_part(self, key: str, upload: str, number: int, data: Buffer, timeout: float) -> str:
        query = {"partNumber": str(number), "uploadId": upload}
        reply = self._send("PUT", key, timeout, query, self._sum(data), data)
        return reply.headers.get("etag", "")

    def complete(
        self,
        key: str,
        upload: str,
        parts: Sequence[tuple[int, str]],
        mark: str,
        timeout: float,
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in parts
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        headers = _XML | self._require(condition)
        try:
            self._check_body(self._send("POST", key, timeout, {"uploadId": upload}, headers, body))
        except RequestFailure as failure:
            if failure.status == NOT_IMPLEMENTED and condition != ALWAYS:
                return self.complete(key, upload, parts, mark, timeout)
            raise to_lost(failure, condition) from None
        return self.head(key, timeout).info

    def abort(self, key: str, upload: str, timeout: float) -> None:
        try:
            self._send("DELETE", key, timeout, {"uploadId": upload})
        except RequestFailure as failure:
            if failure.kind not in (FailureKind.NO_UPLOAD, FailureKind.NO_OBJECT):
                raise

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]:
        found: list[AbandonedUpload] = []
        query = {"uploads": "", "encoding-type": "url"} | ({"prefix": prefix} if prefix else {})
        while True:
            root = parse(self._send("GET", "", timeout, query).body)
            is_encoded = has_encoded_keys(root)
            found += [_read_upload(entry, is_encoded) for entry in root.iterfind("Upload")]
            if get_text(root, "IsTruncated") != "true":
                return found
            (query["key-marker"],) = decode_keys([get_text(root, "NextKeyMarker")], is_encoded)
            query["upload-id-marker"] = get_text(root, "NextUploadIdMarker")

    # --- what families of services do in ways of their own ------------------------

    def _pin(self, etag: str | None) -> dict[str, str]:
        """The headers of a read of nothing but this object."""
        return {"if-match": etag} if etag else {}

    def _require(self, condition: Condition) -> dict[str, str]:
        """The headers of a write under a condition."""
        if condition.create:
            return {"if-none-match": "*"}
        return {} if condition.etag is None else {"if-match": condition.etag}

    def _read_etag(self, headers: Mapping[str, str]) -> str:
        return quote_etag(headers.get("etag", ""))

    # --- requests ---------------------------------------------------------------

    @property
    def _bucket(self) -> str:
        return self._place.name.rpartition("/")[2]

    def _send(
        self,
        method: str,
        key: str,
        timeout: float,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Buffer = b"",
    ) -> Reply:
        """Send the request as every door does. If the service names another region for the bucket,
        send it once more, to that region."""
        try:
            return super()._send(method, key, timeout, query, headers, body)
        except RequestFailure as failure:
            if not self._follow(failure):
                raise
        return super()._send(method, key, timeout, query, headers, body)

    def _follow(self, failure: RequestFailure) -> bool:
        """Move to the region that the failure names. Whether the same request may succeed
        there."""
        if failure.kind is not FailureKind.REGION or not failure.region or self.reopen is None:
            return False
        with self._moving:
            if failure.region != self._region:
                self._place, self._wire, self._signer = self.reopen(failure.region)
                self._region = failure.region
        return True

    def _explain(self, failure: RequestFailure, key: str, timeout: float) -> None:
        """Raise the reason why a HEAD was refused. Its answer has no body, so a request that has
        one is sent."""
        if failure.status == 404 and not self._seen:
            self._check_bucket(timeout)
        elif failure.status in (400, 401, 403, 301, 307):
            self._send("GET", key, timeout, headers={"range": "bytes=0-0"})
            raise RequestFailure(FailureKind.SERVER, failure.detail, status=failure.status)

    def _check_bucket(self, timeout: float) -> None:
        """Raise NO_BUCKET if the bucket is not there. Without the right to list it, nothing can be
        told."""
        try:
            self.list_page("", True, None, 1, timeout)
        except RequestFailure as failure:
            if failure.kind is FailureKind.NO_BUCKET:
                raise

    def _compare(self, first: Reply, second: Reply) -> None:
        """Compare two answers. An ETag that is no digest of the bytes does no harm if the same
        bytes come twice."""
        same = self._read_etag(first.headers) == self._read_etag(second.headers)
        if not same or first.data != second.data:
            raise RequestFailure(FailureKind.SHORT, "the bytes are not those that the service has")

    def _exists(self, key: str, timeout: float) -> bool:
        try:
            self.head(key, timeout)
        except RequestFailure as failure:
            if failure.kind is FailureKind.NO_OBJECT:
                return False
            raise
        return True

    def _read_info(self, key: str, reply: Reply, size: int) -> ObjectInfo:
        headers = reply.headers
        time_ns = parse_http_time(headers.get("last-modified") or headers.get("date"))
        return ObjectInfo(key, size, time_ns, self._read_etag(headers))

    def _mark(self, mark: str) -> dict[str, str]:
        return {f"{self.family}meta-{MARK}": mark} if mark else {}

    def _sum(self, data: Buffer) -> dict[str, str]:
        """The header with a digest of the bytes, because not every service verifies the signed
        one."""
        return {} if self._wire.is_secure else {"content-md5": digest(data)}

    def _check_body(self, reply: Reply) -> None:
        """Raise the error in the body of an answer. A copy or a completion that fails late begins
        with status 200."""
        if b"<Error>" in reply.body or b"<Error " in reply.body:
            raise self._to_failure(reply)

    def _check_deleted(self, reply: Reply) -> None:
        root = parse(reply.body)
        for error in root.iterfind("Error"):
            if get_text(error, "Code") != "NoSuchKey":
                raise self._to_failure(reply)


def _read_upload(entry: Element, is_encoded: bool) -> AbandonedUpload:
    (key,) = decode_keys([get_text(entry, "Key")], is_encoded)
    return AbandonedUpload(
        key, get_text(entry, "UploadId"), parse_time(get_text(entry, "Initiated"))
    )
