"""Short requests to the services that give tokens for Azure: the machine's metadata, OAuth."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from volfs.buckets.answers import RequestFailure
from volfs.buckets.credentials.credentials import Token
from volfs.buckets.http_values import Reply, WireRequest
from volfs.buckets.proxies import find_proxy
from volfs.buckets.wire import Wire
from volfs.errors import StoreDeniedError, StoreUnavailableError

QUICK = 1.0
"""Seconds for a service that is on this machine or nowhere. Where it is missing, opening a bucket
must not wait for it."""
PATIENT = 10.0


def ask(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    timeout: float = PATIENT,
    environ: Mapping[str, str] | None = None,
) -> Reply:
    """An answer, whatever its status. StoreUnavailableError names the host, and nothing else of
    the URL."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    wire = Wire(f"{parts.scheme}://{parts.netloc}", proxy=find_proxy(url, environ or {}))
    try:
        return wire.send(WireRequest(method, target, {}, dict(headers or {}), body), timeout)
    except RequestFailure as failure:
        raise StoreUnavailableError(f"credentials: {failure.row.text} ({parts.netloc})") from None
    finally:
        wire.close()


def ask_json(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    timeout: float = PATIENT,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON object in an answer. ``environ`` says by which proxy to ask. StoreDeniedError,
    StoreUnavailableError."""
    reply = ask(method, url, headers, body, timeout=timeout, environ=environ)
    host = urlsplit(url).netloc
    if reply.status != 200:
        raise StoreDeniedError(f"credentials: {host} refused with HTTP {reply.status}")
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreDeniedError(f"credentials: the answer of {host} is no JSON object")
    return found


def read_token(told: Mapping[str, Any]) -> Token:
    """A token from an answer of OAuth. StoreDeniedError."""
    try:
        return Token(str(told["access_token"]), time.time() + float(told["expires_in"]))
    except (KeyError, ValueError, TypeError):
        raise StoreDeniedError("credentials: the answer has no access_token") from None
