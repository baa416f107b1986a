"""Signatures: version 4 of AWS, which Google uses with other names, and bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

from volfs.buckets.credentials import Keys, Token
from volfs.buckets.wire import WireRequest, encode_query


class Words(NamedTuple):
    """The names that one family of services uses in signatures and headers."""

    algorithm: str
    prefix: str
    """The beginning of the family's header names."""
    secret: str
    service: str
    end: str


AWS = Words("AWS4-HMAC-SHA256", "x-amz-", "AWS4", "s3", "aws4_request")
GOOGLE = Words("GOOG4-HMAC-SHA256", "x-goog-", "GOOG4", "storage", "goog4_request")

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


class KeySigner:
    """Signs requests with a pair of keys, by version 4."""

    def __init__(self, get_keys: Callable[[bool], Keys], words: Words, region: str) -> None:
        self._get_keys = get_keys
        self._words = words
        self.region = region

    @property
    def signs(self) -> bool:
        return True

    def renew(self) -> bool:
        old = self._get_keys(False)
        return self._get_keys(True) != old

    def vouch(self, url: str) -> str:
        return url

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        keys, words = self._get_keys(False), self._words
        date = _write_date(int(time.time()))
        payload = hashlib.sha256(request.body).hexdigest() if len(request.body) else NOTHING
        headers = request.headers | {
            "host": host,
            f"{words.prefix}date": date,
            f"{words.prefix}content-sha256": payload,
        }
        if keys.token:
            headers[f"{words.prefix}security-token"] = keys.token
        names, canonical = _canonical(request, headers, payload)
        scope = f"{date[:8]}/{self.region}/{words.service}/{words.end}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{words.algorithm}\n{date}\n{scope}\n{digest}"
        key = _signing_key(words, keys.secret_key, date[:8], self.region)
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        headers["authorization"] = (
            f"{words.algorithm} Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return request._replace(headers=headers)


class TokenSigner:
    """Adds a token that a service has issued."""

    def __init__(self, get_token: Callable[[bool], Token]) -> None:
        self._get_token = get_token

    @property
    def signs(self) -> bool:
        return True

    def renew(self) -> bool:
        old = self._get_token(False)
        return self._get_token(True) != old

    def vouch(self, url: str) -> str:
        return url

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
def _signing_key(words: Words, secret: str, day: str, region: str) -> bytes:
    key = f"{words.secret}{secret}".encode()
    for part in (day, region, words.service, words.end):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key
