"""Answers of S3, Google and Azure in XML: errors, pages of a listing, and dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from volfs.buckets.answers import FailureKind, RequestFailure

DETAIL_MAX = 300
_SECRET = re.compile(r"(AWSAccessKeyId|StringToSign|SignatureProvided|CanonicalRequest)", re.I)
_NAMESPACE = re.compile(rb"^(\s*(?:<\?[^>]*\?>)?\s*<\w+) xmlns=(?:\"[^\"]*\"|'[^']*')")
"""The default namespace of a root element."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Said(NamedTuple):
    """What a service said of a request that it refused."""

    code: str = ""
    message: str = ""
    region: str = ""

    @property
    def text(self) -> str:
        """The text for a message: one line, and nothing of a signature."""
        message = "" if _SECRET.search(self.message) else " ".join(self.message.split())
        said = f"{self.code}: {message}" if self.code and message else self.code or message
        return said[:DETAIL_MAX]


def parse(body: bytes) -> Element:
    """The root element, without namespaces. ``RequestFailure`` if the body is no XML."""
    body = _NAMESPACE.sub(rb"\1", body, count=1)
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise RequestFailure(FailureKind.SHORT, f"the answer is no XML: {error}") from None
    # A page of a listing has 7,000 elements. They are only visited if any has a namespace.
    for element in root.iter() if b"xmlns" in body else ():
        if element.tag.startswith("{"):
            element.tag = element.tag.partition("}")[2]
    return root


def parse_error(body: bytes) -> Said:
    """The error in a body. Empty if the body says nothing that is understood."""
    if not body.lstrip().startswith(b"<"):
        return Said(message=body[:DETAIL_MAX].decode("utf-8", "replace"))
    try:
        root = parse(body)
    except RequestFailure:
        return Said()
    error = root if root.tag == "Error" else root.find(".//Error")
    if error is None:
        return Said()
    return Said(get_text(error, "Code"), get_text(error, "Message"), get_text(error, "Region"))


def get_text(element: Element, name: str) -> str:
    found = element.find(name)
    return found.text or "" if found is not None else ""


def iter_texts(root: Element, path: str) -> Iterator[str]:
    for element in root.iterfind(path):
        yield element.text or ""


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of ``2026-01-31T12:00:00.123Z``; 0 if it is no such time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return _to_ns(moment)


@lru_cache(maxsize=1024)
def parse_http_time(text: str | None) -> int:
    """Nanoseconds since 1970 of ``Sat, 31 Jan 2026 12:00:00 GMT``; 0 if it is no such time."""
    try:
        return _to_ns(parsedate_to_datetime(text or ""))
    except ValueError:
        return 0


def _to_ns(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
