"""Decides which requests are answered: those with the token, by a name of ours, from our own page.

Any page that a browser shows can make it send requests to a server on loopback. So a request needs
the token, or the cookie that was given for it; its ``Host`` must be ours (DNS rebinding); and what
changes something must come from our own page.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from volfs.metrics.hosts_named import is_expected_host

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SAFE = ("GET", "HEAD")
_ONWARD = """<!doctype html><meta charset="utf-8"><title>volfs</title>
<link rel="icon" href="/static/icon.png">
<meta http-equiv="refresh" content="0;url={place}"><p><a href="{place}">Go on</a>"""
_NO_TOKEN = (
    "volfs: this page needs the address that `volfs ui` printed, with the token in it.\n"
    "Open that address once more.\n"
)


class Gate:
    """Lets a request through to the app, or answers it."""

    def __init__(
        self, app: ASGIApp, token: str, bound: str, port: int, allowed: frozenset[str]
    ) -> None:
        self._app = app
        self._token = token
        self._bound = bound
        self._allowed = allowed
        # Cookies belong to a host and not to a port, so that two servers need two names.
        self._cookie = f"volfs-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._find_answer(scope)
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            await answer(scope, receive, _with_headers(send))

    def _find_answer(self, scope: Scope) -> Response | None:
        """The answer to a request that must not reach the app; None if it may."""
        headers = Headers(scope=scope)
        if not is_expected_host(headers.get("host", ""), self._bound, self._allowed):
            return PlainTextResponse("volfs: this name is not allowed; see --allow-host\n", 403)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if given := query.pop("token", None):
            return self._take_token(scope, given[0], query)
        if not self._has_cookie(headers):
            return PlainTextResponse(_NO_TOKEN, 403)
        if scope["method"] not in SAFE and not is_same_origin(headers):
            return PlainTextResponse("volfs: a change has to come from this page itself\n", 403)
        return None

    def _take_token(self, scope: Scope, given: str, query: dict[str, list[str]]) -> Response:
        """Keep a right token as a cookie, and take it out of the address.

        A redirect would not do: if another site had the link, the browser would not send a strict
        cookie along. A page of ours that goes on by itself is on our own site.
        """
        if not _is_same(given, self._token) or scope["method"] not in SAFE:
            return PlainTextResponse(
                "volfs: wrong token: the address of another `volfs ui`?\n", 403
            )
        rest = urlencode(query, doseq=True)
        path = "/" + scope["path"].lstrip("/\\")
        place = quote(path) + (f"?{rest}" if rest else "")
        answer = HTMLResponse(_ONWARD.format(place=place.replace("&", "&amp;")))
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and _is_same(found.value, self._token)


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def is_same_origin(headers: Headers) -> bool:
    """Whether the browser says that a page of the same origin has sent the request."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


Sending = Callable[[Message], Awaitable[None]]


def _with_headers(send: Send) -> Sending:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
