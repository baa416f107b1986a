"""Signers of requests: Google's pairs of keys, bearer tokens, and none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from volfs.buckets.credentials.credentials import Keys, Renewed, Token
from volfs.buckets.credentials.signature_v4 import GOOGLE, sign_request
from volfs.buckets.http_values import WireRequest

REGION = "auto"


class Signer(Protocol):
    """Adds to a request the proof of who sends it."""

    @property
    def signs(self) -> bool:
        """Whether there are any credentials."""

    @property
    def is_ready(self) -> bool:
        """Whether it can sign at once, because it has to ask nobody for credentials."""

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

    @property
    def is_ready(self) -> bool:
        return not isinstance(self._get, Renewed) or self._get.is_ready

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
        return sign_request(GOOGLE, self._keys, REGION, request, host, int(time.time()))


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

    @property
    def is_ready(self) -> bool:
        return True

    def renew(self) -> bool:
        return False

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        return request

    def vouch(self, url: str) -> str:
        return url
