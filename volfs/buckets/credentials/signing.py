"""Signers of requests: Google's pairs of keys, bearer tokens, and none.

Google's signatures are version 4 of AWS's, with names of Google's in all places. botocore has
AWS's names only.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from volfs.buckets.credentials.credentials import Keys, Token
from volfs.buckets.wire import WireRequest, encode_query

ALGORITHM = "GOOG4-HMAC-SHA256"
REGION = "auto"
SCOPE = ("storage", "goog4_request")
NOTHING = hashlib.sha256(b"").hexdigest()


class Signer(Protocol):
    """Adds to a request the proof of who sends it."""

    @property
    def signs(self) -> bool:
        """Whether there are any credentials."""

    def sign(self, request: WireRequest, host: str) -> WireRequest: ...

    def renew(self) -> bool:
        """Get fresh credentials if that is possible. Whether they differ from the former ones."""

    def vouch(self, url: str) -> str:
        """The URL of an object in a form that the service itself can read, for a copy."""


class RenewableSigner:
    """Signs with credentials that a function gives, and that may be renewed."""

    def __init__(self, get: Callable[[bool], object]) -> None:
        self._get = get

    @property
    def signs(self) -> bool:
        return True

    def renew(self) -> bool:
        old = self._get(False)
        return self._get(True) != old

    def vouch(self, url: str) -> str:
        return url


class GoogleKeySigner(RenewableSigner):
    """Signs requests with a pair of HMAC keys of Google's."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(lambda fresh: keys)
        self._keys = keys

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        date = _write_date(int(time.time()))
        payload = hashlib.sha256(request.body).hexdigest() if len(request.body) else NOTHING
        headers = request.headers | {
            "host": host,
            "x-goog-date": date,
            "x-goog-content-sha256": payload,
        }
        names, canonical = _canonical(request, headers, payload)
        scope = "/".join((date[:8], REGION, *SCOPE))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{ALGORITHM}\n{date}\n{scope}\n{digest}"
        key = _signing_key(self._keys.secret_key, date[:8])
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        headers["authorization"] = (
            f"{ALGORITHM} Credential={self._keys.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return request._replace(headers=headers)


class TokenSigner(RenewableSigner):
    """Adds a token that a service has issued."""

    def __init__(self, get_token: Callable[[bool], Token]) -> None:
        super().__init__(get_token)
        self._get_token = get_token

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        token = self._get_token(False).token
        return request._replace(headers=request.headers | {"authorization": f"Bearer {token}"})


class NoSigner:
    """Adds nothing, for buckets that are public."""

    @property
    def signs(self) -> bool:
        return False

    def renew(self) -> bool:
        return False

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        return request

    def vouch(self, url: str) -> str:
        return url


def _canonical(request: WireRequest, headers: dict[str, str], payload: str) -> tuple[str, str]:
    """The names of the signed headers, and the text that stands for the request."""
    pairs = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in pairs)
    lines = "".join(f"{name}:{value}\n" for name, value in pairs)
    query = encode_query(request.query)
    return names, f"{request.method}\n{request.path}\n{query}\n{lines}\n{names}\n{payload}"


@lru_cache(maxsize=2)
def _write_date(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str) -> bytes:
    key = f"GOOG4{secret}".encode()
    for part in (day, REGION, *SCOPE):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key
