"""Messages of the control socket: four bytes of length, then one JSON object.

A request is ``{"verb": …, …arguments}``. The answer is ``{"result": {…}}`` or ``{"error": {"code",
"message"}}``, where ``code`` is that of ``volfs.errors``.
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
"""The longest message in bytes. A commit names every path that it overrode."""
MESSAGE_MAX = 1 << 20
"""The longest text of an error, in characters. Nobody reads more."""

T = TypeVar("T")


class Request(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``verb`` is one of ``status changes commit reload unmount renew``; the other fields are for
    some verbs."""

    verb: str
    message: str = ""
    on_conflict: str = "override"
    wait: float = 0.0
    """For ``reload``: seconds for open files to be closed. For ``status``: the most seconds for
    each question to the store, if not the usual ones."""
    touch: bool = False
    """For ``reload``: files that arrive get the present as their time."""
    auto: bool = False
    """For ``commit``: nobody asked for it explicitly, so do nothing if nothing has changed."""
    at_end: str = ""
    """For ``unmount``: commit, keep or discard what is left. Empty: do what the mount was told at
    its start."""
    number: int = 0
    """For ``unmount``: the kernel's number of the mount point; 0 means the mount's own."""


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
    """How many of the requests failed."""
    total_us: int
    histogram: list[int]
    """How many took less than 1, 2, 4, 8 … microseconds; each request is counted once."""


class ActivityCounts(msgspec.Struct):
    """What a mount of a volume has done since it began, as ``model.activity`` counts it."""

    commits: RequestTimes
    """Commits that made a version, and those that failed."""
    reloads: RequestTimes
    committed_bytes: int
    last_commit_ns: int
    """The time of day of the last commit that made a version; 0 if there was none."""
    reads_ready: int
    reads_waited: int
    read_bytes: int
    written_bytes: int
    fetches: int
    """How many objects were not in memory when an operation needed them."""


class BucketStatus(msgspec.Struct):
    """What a mount of a bucket says of it besides."""

    address: str
    """Without secrets."""
    hidden_keys: int
    """Keys seen that are no paths, or files that a directory of the same name hides."""
    unreachable_since_ns: int | None = None
    """Since when the bucket has not answered; None while it does."""
    left_files: int = 0
    """Files whose upload failed, and that are kept: `volfs overlays` lists them."""


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
    """The volume's newest version, or None if the store does not say."""
    store_replaced: bool = False
    """Whether the store at its address is another one than this mount opened."""
    session: str = ""
    """The device of the store, as ``sessions/device.py`` identifies it. Older daemons say
    nothing."""
    requests: dict[str, RequestTimes] = {}
    """The kernel's requests by operation."""
    environment: str = MAIN
    """The environment of the volume's name."""
    lease_lost: str = ""
    """Why nothing keeps what the mount shows; empty if its lease does."""
    unreachable_since_ns: int | None = None
    """Since when the store has not answered; None while it does."""
    bucket: BucketStatus | None = None
    """If it is a bucket and no volume: ``volume`` has its address then, and ``version`` is 0."""

    activity: ActivityCounts | None = None
    """None if it is a bucket."""
    logged: dict[str, int] = {}
    """The number of lines in the mount's log, by level: ``warning`` and ``error``."""

    @property
    def full_name(self) -> str:
        """The volume's name, with its environment unless that is ``main``."""
        return join_name(self.environment, self.volume)

    @property
    def away_since_ns(self) -> int | None:
        """Since when the store, or the bucket that is mounted, has not answered; None while it
        does."""
        return self.bucket.unreachable_since_ns if self.bucket else self.unreachable_since_ns


class CommitResult(msgspec.Struct):
    """The answer to ``commit``. ``overridden`` has path, theirs and ours of each file."""

    changed: bool
    version: int
    new_objects: int
    new_bytes: int
    overridden: list[dict[str, str]]


class UncommittedChange(msgspec.Struct):
    """One path that a mount has changed and not committed. A size is None for a directory, and
    where the path is absent."""

    letter: str
    """The value of a ``ChangeKind``."""
    path: str
    kind: int
    old_size: int | None
    size: int | None
    attributes: list[str]


class ChangesResult(msgspec.Struct):
    """The answer to ``changes``: the version that they lie on, and what is not committed."""

    version: int
    changes: list[UncommittedChange]


class ReloadResult(msgspec.Struct):
    """The answer to ``reload``: the version that the mount shows now, and the one before."""

    version: int
    before: int
    touched: int | None = None
    """How many files got the present as their time; None if nobody asked for that."""


class RenewResult(msgspec.Struct):
    """The answer to ``renew``: the mount's lease was put again."""


class UnmountResult(msgspec.Struct):
    """The answer to ``unmount``: the name of the overlay that stays, if one does."""

    overlay: str = ""
    copies: list[str] = []
    """Mount namespaces with a copy of the mount that nobody used, and that is dead now."""


def encode(message: Request | Response) -> bytes:
    """Encode a message. MountError if it is longer than the other end accepts."""
    body = encode_json(message)
    limit = REQUEST_MAX if isinstance(message, Request) else ANSWER_MAX
    if len(body) > limit:
        raise MountError(f"control message of {len(body)} bytes: too large")
    return len(body).to_bytes(LENGTH_SIZE, "big") + body


def decode_length(header: bytes, limit: int = REQUEST_MAX) -> int:
    """Decode a length. MountError if it is longer than any message of ours."""
    length = int.from_bytes(header, "big")
    if length > limit:
        raise MountError(f"control message of {length} bytes: too large")
    return length


def decode_request(body: bytes) -> Request:
    """Decode a request. MountError for anything else."""
    try:
        return decode_json(body, Request)
    except (ValueError, RecursionError) as error:
        raise MountError(f"control message: {error}") from error


def decode_answer(body: bytes) -> Response:
    """Decode an answer. MountError for anything else."""
    try:
        return decode_json(body, Response)
    except (ValueError, RecursionError) as error:
        raise MountError(f"control answer: {error}") from error


def decode_result(answer: Response, kind: type[T]) -> T:
    """The result in an answer. MountError for a result that no daemon of this release sends."""
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
    """All errors by their codes. A class with its parent's code belongs to one room, and is left
    out."""
    kinds = {kind.code: kind} if "code" in vars(kind) else {}
    for below in kind.__subclasses__():
        kinds |= _all_kinds(below)
    return kinds


_KINDS = _all_kinds(errors.VolfsError)
