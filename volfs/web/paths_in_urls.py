"""Paths of volumes in addresses and forms. They are bytes, so each byte is percent-encoded, and the
frameworks' own decoding, which loses bytes that are no UTF-8, is left out. Pure."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from volfs.errors import InvalidError, VolfsError
from volfs.model.names import Path, join_path, parse_path
from volfs.model.text import to_text


def encode_path(path: Path) -> str:
    """A path as one value of a query, and as the value of a form's field."""
    return quote(join_path(path) if path else b"", safe=b"/-_.~")


def decode_path(text: str) -> Path:
    """The path that ``encode_path`` has encoded. InvalidError."""
    try:
        return parse_path(to_text(unquote_to_bytes(text)))
    except (VolfsError, ValueError) as error:
        raise InvalidError(f"no path: {error}") from error


def find_raw(query: bytes, name: str) -> str:
    """The value of one parameter, still encoded; empty if it is not there."""
    for part in query.decode("latin-1").split("&"):
        key, _, value = part.partition("=")
        if key == name:
            return value.replace("+", "%20")
    return ""
