"""Messages of the control socket: four bytes of length, then one JSON object.

A request is ``{"verb": …, …arguments}``; the answer ``{"result": {…}}`` or
``{"error": {"code", "message"}}``, where ``code`` is that of ``volfs.errors``.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from volfs import errors
from volfs.errors import MountError, VolfsError
from volfs.model.names import MAIN, join_name
from volfs.model.text import describe_error
from volfs.model.text_json import decode_json, encode_json

LENGTH_SIZE = 4
REQUEST_MAX = 4 << 20
ANSWER_MAX = 1 << 30
"""A commit names every path that it overrode."""
MESSAGE_MAX = 1 << 20
"""Characters of an error's message; what it says beyond that nobody reads."""

T = TypeVar("T")


class Request(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``verb`` is one of ``status commit reload unmount``; the others use what they need."""

    verb: str
    message: str = ""
    on_conflict: str = "override"
    wait: float = 0.0
    touch: bool = False
    """Of ``reload``: what it brings gets the present as its time."""
    auto: bool = False
    """Of ``commit``: nobody asked for it in words, and where nothing changed nothing is done."""
    at_end: str = ""
    """Of ``unmount``: commit, keep or discard what is left; empty: as it was mounted to do."""
    number: int = 0
    """Of ``unmount``: which mount point is meant, by the kernel's number; 0: the mount's own."""


class Failure(msgspec.Struct):
    code: str
    message: str


class Response(msgspec.Struct, omit_defaults=True):
    result: dict[str, Any] | None = None
    error: Failure | None = None


class RequestTimes(msgspec.Struct):
    """How often an operation was asked of a mount since it began, and how long it took."""

    count: int
    errors: int
    """Of these, how many were answered with an error."""
    total_us: int
    histogram: list[int]
    """How many took less than 1, 2, 4, 8 … microseconds, each counted once."""


class MountStatus(msgspec.Struct):
    """The answer to ``status``: one mount as its daemon sees it."""

    volume: str
    mountpoint: str
    version: int
    pid: int
    dirty_files: int
    dirty_bytes: int
    open_files: int
    read_only: bool
    auto_commit: float | None
    store: str
    volume_id: str
    head: int | None = None
    """The volume's newest version, or None where the store does not say."""
    store_replaced: bool = False
    """Whether the store at its address is another than this mount opened."""
    session: str = ""
    """Which it has, as ``sessions/device.py`` identifies sessions; of older daemons empty."""
    requests: dict[str, RequestTimes] = {}
    """By operation, as the kernel asks for them."""
    environment: str = MAIN
    """Of the volume's name."""

    @property
    def full_name(self) -> str:
        """The volume's, with its environment where that is not ``main``."""
        return join_name(self.environment, self.volume)


class CommitResult(msgspec.Struct):
    """The answer to ``commit``. ``overridden`` has path, theirs and ours of each."""

    changed: bool
    version: int
    new_objects: int
    new_bytes: int
    overridden: list[dict[str, str]]


class ReloadResult(msgspec.Struct):
    """The answer to ``reload``: the version that the mount shows now, and before."""

    version: int
    before: int
    touched: int | None = None
    """How many files got the present as their time; None where nobody asked for that."""


class RenewResult(msgspec.Struct):
    """The mount's lease was put again."""


class UnmountResult(msgspec.Struct):
    """The answer to ``unmount``: the overlay that stays, by name, if one does."""

    overlay: str = ""
    copies: list[str] = []
    """Where it is dead now: mount namespaces that had copied it, and did not use it."""


def encode(message: Request | Response) -> bytes:
    """MountError for a message that is larger than any that the other end takes."""
    body = encode_json(message)
    limit = REQUEST_MAX if isinstance(message, Request) else ANSWER_MAX
    if len(body) > limit:
        raise MountError(f"control message of {len(body)} bytes: too large")
    return len(body).to_bytes(LENGTH_SIZE, "big") + body


def decode_length(header: bytes, limit: int = REQUEST_MAX) -> int:
    """MountError for a message that is larger than any of ours."""
    length = int.from_bytes(header, "big")
    if length > limit:
        raise MountError(f"control message of {length} bytes: too large")
    return length


def decode_request(body: bytes) -> Request:
    """MountError for anything but a request."""
    try:
        return decode_json(body, Request)
    except (ValueError, RecursionError) as error:
        raise MountError(f"control message: {error}") from error


def decode_answer(body: bytes) -> Response:
    """MountError for anything but an answer."""
    try:
        return decode_json(body, Response)
    except (ValueError, RecursionError) as error:
        raise MountError(f"control answer: {error}") from error


def decode_result(answer: Response, kind: type[T]) -> T:
    """What was answered. MountError for what no daemon of this release says."""
    try:
        return msgspec.convert(answer.result or {}, kind)
    except (ValueError, RecursionError) as error:
        raise MountError(f"control answer: {error}") from error


def to_failure(error: BaseException) -> Failure:
    said = describe_error(error)[:MESSAGE_MAX]
    if isinstance(error, VolfsError):
        return Failure(error.code, said)
    return Failure(MountError.code, f"{type(error).__name__}: {said}")


def to_exception(failure: Failure) -> VolfsError:
    """The exception of ``volfs.errors`` that a daemon answered with."""
    kind = _KINDS.get(failure.code, MountError)
    return kind(failure.message)


def _all_kinds(kind: type[VolfsError]) -> dict[str, type[VolfsError]]:
    """By their codes. A class that has only its parent's is a room's own, and stays there."""
    kinds = {kind.code: kind} if "code" in vars(kind) else {}
    for below in kind.__subclasses__():
        kinds |= _all_kinds(below)
    return kinds


_KINDS = _all_kinds(errors.VolfsError)
