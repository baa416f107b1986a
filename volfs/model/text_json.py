"""JSON that holds text of the system, with any bytes (``text.to_stored``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from volfs.model.text import from_stored, to_stored

T = TypeVar("T")
_NUL = b"\\u0000"
"""How JSON writes the character that begins each escape of stored text. It is rare."""


def encode_json(value: object) -> bytes:
    """Encode whatever msgspec encodes, with any text in it."""
    try:
        body = msgspec.json.encode(value)
        if _NUL not in body:
            return body
    except UnicodeEncodeError:
        pass
    return msgspec.json.encode(_map_text(msgspec.to_builtins(value), to_stored))


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decode what ``encode_json`` made. ValueError, RecursionError for anything else."""
    if _NUL not in body:
        return msgspec.json.decode(body, type=kind)
    return msgspec.convert(_map_text(msgspec.json.decode(body), from_stored), kind)


def _map_text(value: Any, change: Callable[[str], str]) -> Any:
    """A value of lists and dicts with every text in it changed, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_map_text(key, change): _map_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_text(item, change) for item in value]
    return value
