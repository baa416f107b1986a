"""Marks on functions that answer HTTP, and on those that run on several containers at once.

The marks are accepted and noted. A marked function can be called here with ``local``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from volfs.api.apps.marks import REFUSAL
from volfs.api.apps.notes import note
from volfs.containers.endpoint import ENDPOINT, Endpoint
from volfs.errors import InvalidError

F = TypeVar("F")
_PORT_MAX = 65535
_SERVED = "it answers HTTP requests, and no calls: `volfs serve FILE.py` serves it"


def asgi_app(
    *,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """The function returns an ASGI application."""
    return _endpoint(Endpoint("asgi_app", label=label))


def wsgi_app(
    *,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """The function returns a WSGI application."""
    return _endpoint(Endpoint("wsgi_app", label=label))


def fastapi_endpoint(
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """The function answers requests itself. Its arguments come from the query."""
    return _endpoint(Endpoint("fastapi_endpoint", method, docs, label=label))


def web_endpoint(
    _warn: Any = None,
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
    wait_for_response: bool = True,
) -> Callable[[F], F]:
    """The former name of ``fastapi_endpoint``."""
    if _warn is not None:
        raise InvalidError("`@modal.web_endpoint` takes parentheses: `@modal.web_endpoint()`")
    return _endpoint(Endpoint("fastapi_endpoint", method, docs, label=label))


def web_server(
    port: int,
    *,
    startup_timeout: float = 5.0,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """The function starts a server that listens at the port. InvalidError."""
    if not isinstance(port, int) or not 1 <= port <= _PORT_MAX:
        raise InvalidError(
            "First argument of `@web_server` must be a local port, such as `@web_server(8000)`."
        )
    if startup_timeout <= 0:
        raise InvalidError("The `startup_timeout` argument of `@web_server` must be positive.")
    return _endpoint(Endpoint("web_server", "", False, port, startup_timeout, label))


def _endpoint(endpoint: Endpoint) -> Callable[[F], F]:
    def mark(function: F) -> F:
        note(f"@{endpoint.kind}", "accepted: `volfs serve FILE.py` answers requests to it")
        setattr(function, ENDPOINT, endpoint)
        setattr(function, REFUSAL, _SERVED)
        return function

    return mark


# --- several containers for one call ----------------------------------------


def clustered(*, size: int, rdma: bool = False) -> Callable[[F], F]:
    """Noted, for a size above one: a call would need so many containers, and is refused.

    InvalidError.
    """
    if not isinstance(size, int) or size <= 0:
        raise InvalidError("cluster size must be a positive integer")

    def mark(what: F) -> F:
        if size > 1:
            note("@clustered", "accepted: it cannot be called, for volfs makes no clusters")
            setattr(what, REFUSAL, f"it wants {size} containers for one call; here it has one")
        return what

    return mark


def sessioned() -> Callable[[F], F]:
    """Noted: a Server cannot be used, so that requests with one token need no one container."""
    note("@sessioned", "accepted: there is one container, so all requests go to it")
    return lambda what: what
