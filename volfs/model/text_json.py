"""JSON with text of the system in it, where that may be any bytes (``text.to_stored``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from volfs.model.text import from_stored, to_stored

T = TypeVar("T")
_NUL = b"\\u0000"
"""How JSON spells what begins each escape of stored text; it is rare."""


def encode_json(value: object) -> bytes:
    """Whatever msgspec encodes, with any text in it."""
    try:
        body = msgspec.json.encode(value)
        if _NUL not in body:
            return body
    except UnicodeEncodeError:
        pass
    return msgspec.json.encode(_map_text(msgspec.to_builtins(value), to_stored))


def decode_json(body: bytes, kind: type[T]) -> T:
    """What ``encode_json`` was given. ValueError, RecursionError for anything else."""
    if _NUL not in body:
        return msgspec.json.decode(body, type=kind)
    return msgspec.convert(_map_text(msgspec.json.decode(body), from_stored), kind)


def _map_text(value: Any, change: Callable[[str], str]) -> Any:
    """Built of lists and dicts, with every text changed, the keys' too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_map_text(key, change): _map_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_text(item, change) for item in value]
    return value
