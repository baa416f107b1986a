"""What doors that speak HTTP have in common: where requests go, and how they are signed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.credentials.signing import Signer
from volfs.buckets.http_exchange import Exchange
from volfs.buckets.http_values import Reply, WireRequest, encode_path
from volfs.buckets.objects import ObjectInfo
from volfs.buckets.wire import Wire
from volfs.model.objects import Buffer


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
        body: Buffer = b"",
    ) -> Reply:
        """The answer to a request that succeeded. ``RequestFailure`` for every other answer.

        Credentials that have expired are renewed once, and the request is sent again.
        """
        request = self._make(method, key, query or {}, headers or {}, body)
        try:
            return self._sign_and_send(request, timeout)
        except RequestFailure as failure:
            if failure.kind is not FailureKind.EXPIRED or not self._signer.renew():
                raise
        return self._sign_and_send(request, timeout)

    def _make(
        self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: Buffer
    ) -> WireRequest:
        path = f"{self._place.path}/{encode_path(key)}"
        return WireRequest(method, path, query, self._extra | headers, body)

    def connect(self, timeout: float) -> bool:
        return self._signer.is_ready and self._wire.connect(timeout)

    def _begin(self, key: str, headers: dict[str, str], body: Buffer) -> Exchange | None:
        """Begin a PUT without waiting for anything. None if that is not possible at present.
        ``RequestFailure``."""
        if not self._signer.is_ready:
            return None
        request = self._make("PUT", key, {}, headers, body)
        return self._wire.begin(self._signer.sign(request, self._wire.host))

    def _sign_and_send(self, request: WireRequest, timeout: float) -> Reply:
        reply = self._wire.send(self._signer.sign(request, self._wire.host), timeout)
        return self._check(reply)

    def _check(self, reply: Reply) -> Reply:
        if not 200 <= reply.status < 300:
            raise self._to_failure(reply)
        self._seen = True
        return reply


class DoorPut:
    """A write that was sent. ``read`` makes of its answer exactly what ``put`` makes of one."""

    def __init__(self, exchange: Exchange, read: Callable[[Reply], ObjectInfo]) -> None:
        self._exchange = exchange
        self._read = read

    @property
    def is_sending(self) -> bool:
        return self._exchange.is_sending

    def fileno(self) -> int:
        return self._exchange.fileno()

    def advance(self) -> ObjectInfo | None:
        if self._exchange.is_sending:
            self._exchange.send()
            return None
        reply = self._exchange.receive()
        return None if reply is None else self._read(reply)

    def close(self) -> None:
        self._exchange.close()
