"""The description of how a function answers HTTP: a mark on the function, which is pickled with
it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

EndpointKind = Literal["asgi_app", "wsgi_app", "fastapi_endpoint", "web_server"]
KINDS: tuple[EndpointKind, ...] = get_args(EndpointKind)

ENDPOINT = "__volfs_endpoint__"
"""The attribute of a function that holds its ``Endpoint``."""


@dataclass(frozen=True)
class Endpoint:
    """The kind of an endpoint's function, and how the endpoint is reached."""

    kind: EndpointKind
    method: str = "GET"
    docs: bool = False
    port: int = 0
    """The port at which the function of a ``web_server`` listens."""
    startup_timeout: float = 5.0
    label: str | None = None


def find_endpoint(function: object) -> Endpoint | None:
    """The mark of a function, or of a method of a class; None if it is no endpoint."""
    found: Endpoint | None = getattr(getattr(function, "raw", function), ENDPOINT, None)
    return found
