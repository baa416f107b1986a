"""What doors that speak HTTP have in common: where requests go, and how they are signed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.credentials.signing import Signer
from volfs.buckets.objects import Data
from volfs.buckets.wire import Reply, Wire, WireRequest, encode_path


class BucketPlace(NamedTuple):
    """Where the requests about a bucket go."""

    name: str
    """The bucket's name in messages: ``s3://bucket``."""
    path: str
    """The part of the path before ``/KEY``. Empty if the bucket is in the host's name."""


class HttpDoor:
    """Sends requests about one bucket. Each family of services decides what the answers mean."""

    def __init__(
        self, place: BucketPlace, wire: Wire, signer: Signer, extra: Mapping[str, str] | None = None
    ) -> None:
        self._place = place
        self._wire = wire
        self._signer = signer
        self._extra = dict(extra or {})
        """Headers of every request."""
        self._moving = threading.Lock()
        self._region = ""
        """Where the service sent us, if it did."""
        self._seen = False
        """Whether any answer has shown that the bucket is there."""

    def describe(self) -> str:
        return self._place.name

    def identify(self) -> str:
        return f"{self._wire.root}{self._place.path}"

    def find_flaw(self, key: str) -> str:
        return ""

    def close(self) -> None:
        self._wire.close()

    def _to_failure(self, reply: Reply) -> RequestFailure:
        """The failure that an answer stands for, if its status is no success."""
        raise NotImplementedError

    def _send(
        self,
        method: str,
        key: str,
        timeout: float,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Data = b"",
    ) -> Reply:
        """The answer to a request that succeeded. ``RequestFailure`` for every other answer.

        Credentials that have expired are renewed once, and the request is sent again.
        """
        path = f"{self._place.path}/{encode_path(key)}"
        request = WireRequest(method, path, query or {}, self._extra | (headers or {}), body)
        try:
            return self._sign_and_send(request, timeout)
        except RequestFailure as failure:
            if failure.kind is not FailureKind.EXPIRED or not self._signer.renew():
                raise
        return self._sign_and_send(request, timeout)

    def _sign_and_send(self, request: WireRequest, timeout: float) -> Reply:
        reply = self._wire.send(self._signer.sign(request, self._wire.host), timeout)
        if not 200 <= reply.status < 300:
            raise self._to_failure(reply)
        self._seen = True
        return reply
