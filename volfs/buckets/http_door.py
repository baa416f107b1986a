"""What doors that speak HTTP have in common: where requests go, and who signs them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.objects import Data
from volfs.buckets.signing import Signer
from volfs.buckets.wire import Reply, Wire, WireRequest, encode_path


class BucketPlace(NamedTuple):
    """Where the requests about a bucket go."""

    name: str
    """As messages have it: ``s3://bucket``."""
    path: str
    """What stands before ``/KEY``; empty where the host's name has the bucket."""


class HttpDoor:
    """Sends requests about one bucket. What the answers mean is the family's business."""

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
        """Whether the bucket has answered as one that is there."""

    def describe(self) -> str:
        return self._place.name

    def identify(self) -> str:
        return f"{self._wire.root}{self._place.path}"

    def close(self) -> None:
        self._wire.close()

    def _to_failure(self, reply: Reply) -> RequestFailure:
        """What an answer that grants nothing stands for."""
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
        """The answer to a request that was granted; ``RequestFailure`` for every other one.

        Credentials that have expired are renewed once, and the request sent again.
        """
        path = f"{self._place.path}/{encode_path(key)}"
        request = WireRequest(method, path, query or {}, self._extra | (headers or {}), body)
        reply = self._wire.send(self._signer.sign(request, self._wire.host), timeout)
        if 200 <= reply.status < 300:
            self._seen = True
            return reply
        failure = self._to_failure(reply)
        if failure.kind is FailureKind.EXPIRED and self._signer.renew():
            reply = self._wire.send(self._signer.sign(request, self._wire.host), timeout)
            if 200 <= reply.status < 300:
                return reply
            failure = self._to_failure(reply)
        raise failure
