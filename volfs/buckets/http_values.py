"""Requests and answers of HTTP as values, and how URLs are encoded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from volfs.model.objects import Buffer

SAFE = "-_.~"


class WireRequest(NamedTuple):
    """One request before it is signed. ``path`` is encoded, and the query is not."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Buffer = b""

    @property
    def target(self) -> str:
        query = encode_query(self.query)
        return f"{self.path}?{query}" if query else self.path


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """Header names in any case."""
    data: Buffer
    """The body, as it was received."""

    @property
    def body(self) -> bytes:
        return bytes(self.data)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def encode_path(path: str) -> str:
    """A key as URLs have it, and as signatures need it."""
    return quote(path, safe="/" + SAFE)


def encode_query(query: Mapping[str, str]) -> str:
    pairs = sorted((quote(key, safe=SAFE), quote(value, safe=SAFE)) for key, value in query.items())
    return "&".join(f"{key}={value}" for key, value in pairs)


def with_length(request: WireRequest) -> dict[str, str]:
    """The headers of a request. A PUT or POST with an empty body must state its length, too."""
    if request.method in ("PUT", "POST") or len(request.body):
        return {**request.headers, "content-length": str(len(request.body))}
    return request.headers
