"""How a function answers HTTP: a mark on it, which travels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["asgi_app", "wsgi_app", "fastapi_endpoint", "web_server"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ENDPOINT = "__volfs_endpoint__"
"""Attribute of a function: its ``Endpoint``."""


@dataclass(frozen=True)
class Endpoint:
    """What the function is, or makes, and how it is reached."""

    kind: Kind
    method: str = "GET"
    docs: bool = False
    port: int = 0
    """Of a ``web_server``: what the function listens at."""
    startup_timeout: float = 5.0
    label: str | None = None


def find_endpoint(function: object) -> Endpoint | None:
    """What a function, or a method of a class, is marked with."""
    found: Endpoint | None = getattr(getattr(function, "raw", function), ENDPOINT, None)
    return found
