"""Checks of the bytes of an answer: that they are complete, and of the range that was asked
for."""

from __future__ import annotations

import base64
import hashlib
import re

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.http_values import Reply
from volfs.buckets.objects import Condition
from volfs.model.objects import Buffer

_MD5 = re.compile("[0-9a-f]{32}")


def digest(data: Buffer) -> str:
    """The MD5 digest as the header Content-MD5 has it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def is_whole(reply: Reply) -> bool:
    """Whether the bytes match the ETag, if the ETag is a digest of them."""
    etag = reply.headers.get("etag", "").strip('"')
    encrypted = reply.headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
    if not _MD5.fullmatch(etag) or encrypted or not reply.data:
        return True
    return hashlib.md5(reply.data, usedforsecurity=False).hexdigest() == etag


def to_lost(failure: RequestFailure, condition: Condition) -> RequestFailure:
    """The failure of a condition that did not hold. The condition decides which one it is."""
    if failure.status == 412 or failure.kind is FailureKind.CHANGED:
        kind = FailureKind.EXISTS if condition.create else FailureKind.CHANGED
        return RequestFailure(kind, status=failure.status)
    if failure.kind is FailureKind.NO_OBJECT and condition.etag is not None:
        return RequestFailure(FailureKind.CHANGED, status=failure.status)
    return failure


def cut_span(body: Buffer, span: tuple[int, int] | None) -> Buffer:
    """The bytes of a span, if a service does not know ranges and sends the whole object."""
    if span is None:
        return body
    if span[0] >= len(body):
        raise RequestFailure(FailureKind.BAD_RANGE, status=416)
    return body[span[0] : span[0] + span[1]]


def check_span(reply: Reply, span: tuple[int, int]) -> int:
    """The size of the whole object. ``RequestFailure`` if other bytes came than were asked for."""
    stated = reply.headers.get("content-range", "")
    bounds, _, size = stated.removeprefix("bytes ").partition("/")
    first, _, last = bounds.partition("-")
    if not (first.isdecimal() and last.isdecimal() and size.isdecimal()):
        raise RequestFailure(FailureKind.SHORT, f"the answer has no range: {stated!r}")
    wanted = min(span[0] + span[1], int(size)) - span[0]
    if int(first) != span[0] or len(reply.data) != wanted:
        raise RequestFailure(FailureKind.SHORT, f"{len(reply.data)} of {wanted} bytes came")
    return int(size)
