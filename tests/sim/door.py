"""The door of a simulated client: each request waits for what the scheduler makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from tests.sim.tasks import Wait
from volfs.buckets.answers import RequestFailure
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import AbandonedUpload, Condition, ObjectHead, ObjectInfo, Page, TellNext
from volfs.model.objects import Buffer

if TYPE_CHECKING:
    from tests.sim.simulation import Client

T = TypeVar("T")
WRITES = ("PUT", "COPY", "DELETE", "BEGIN", "PART", "COMPLETE", "ABORT")


class Request(Wait):
    """A request on its way. ``carry_out`` does to the objects what it asks for."""

    def __init__(
        self, verb: str, key: str, carry_out: Callable[[], object], timeout: float, body: bytes
    ) -> None:
        super().__init__(f"{verb} {key}")
        self.verb = verb
        self.key = key
        self.carry_out = carry_out
        self.timeout = timeout
        self.body = body
        self.answer: object = None
        self.failure: RequestFailure | None = None

    @property
    def writes(self) -> bool:
        return self.verb in WRITES


class SimDoor:
    """``volfs.buckets.objects.Door`` of one life of a client."""

    def __init__(self, client: Client, objects: MemoryDoor) -> None:
        self._client = client
        self._objects = objects

    def describe(self) -> str:
        return "sim://bucket"

    def identify(self) -> str:
        return self._objects.identify()

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def _ask(
        self, verb: str, key: str, timeout: float, carry_out: Callable[[], T], body: bytes = b""
    ) -> T:
        request = Request(verb, key, carry_out, timeout, body)
        self._client.send(request)
        if request.failure is not None:
            raise request.failure
        return cast(T, request.answer)

    def head(self, key: str, timeout: float) -> ObjectHead:
        return self._ask("HEAD", key, timeout, lambda: self._objects.head(key, timeout))

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        return self._ask("GET", key, timeout, lambda: self._objects.get(key, span, etag, timeout))

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        body = bytes(data)
        return self._ask(
            "PUT",
            key,
            timeout,
            lambda: self._objects.put(key, body, condition, mark, timeout),
            body,
        )

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo:
        return self._ask(
            "COPY", target, timeout, lambda: self._objects.copy(source, target, create, timeout)
        )

    def delete(self, key: str, timeout: float) -> None:
        self._ask("DELETE", key, timeout, lambda: self._objects.delete(key, timeout))

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        many = list(keys)
        what = f"{len(many)} from {min(many, default='')}"
        self._ask("DELETE", what, timeout, lambda: self._objects.delete_many(many, timeout))

    def list_page(
        self,
        prefix: str,
        delimiter: bool,
        after: str | None,
        limit: int,
        timeout: float,
        tell: TellNext | None = None,
        begin: str | None = None,
    ) -> Page:
        return self._ask(
            "LIST",
            prefix,
            timeout,
            lambda: self._objects.list_page(prefix, delimiter, after, limit, timeout, tell, begin),
        )

    def begin_put(self, key: str, data: Buffer, condition: Condition, mark: str) -> None:
        """Leave it to ``put``: whoever waits here, waits for the scheduler."""

    def connect(self, timeout: float) -> bool:
        return False

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        return self._ask(
            "BEGIN", key, timeout, lambda: self._objects.begin_multipart(key, mark, timeout)
        )

    def put_part(self, key: str, upload: str, number: int, data: Buffer, timeout: float) -> str:
        body = bytes(data)
        return self._ask(
            "PART", key, timeout, lambda: self._objects.put_part(key, upload, number, body, timeout)
        )

    def complete(
        self, key: str, upload: str, parts: Sequence[tuple[int, str]], mark: str, timeout: float
    ) -> ObjectInfo:
        return self._ask(
            "COMPLETE",
            key,
            timeout,
            lambda: self._objects.complete(key, upload, parts, mark, timeout),
        )

    def abort(self, key: str, upload: str, timeout: float) -> None:
        self._ask("ABORT", key, timeout, lambda: self._objects.abort(key, upload, timeout))

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]:
        return self._ask(
            "LIST", prefix, timeout, lambda: self._objects.list_leftovers(prefix, timeout)
        )
