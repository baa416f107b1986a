"""One call to a bucket: as many requests as it takes, until the deadline."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from volfs.buckets.answers import FailureKind, RequestFailure, to_error
from volfs.buckets.throttle import IN_A_ROW, Outage, Throttle, pause_before
from volfs.errors import StoreError, StoreUnavailableError, VolfsError
from volfs.system.world import REAL, World

T = TypeVar("T")
Send = Callable[[float], T]
"""Sends one request. The argument is how many seconds an answer may take."""

DEADLINE = 60.0
ATTEMPT = 20.0
"""Seconds without any progress after which a request is given up and sent again."""
FIRST_ATTEMPTS = 3
"""How often a host that has never answered is tried."""
UPLOAD_RATE = 256 * 1024
"""Bytes per second. A slower upload is given up."""


_WRONG_PLACE = (FailureKind.REFUSED, FailureKind.NO_HOST, FailureKind.PROXY)


class Deadline:
    """The end of a call, by a clock that nobody sets."""

    def __init__(self, seconds: float, world: World = REAL) -> None:
        self._world = world
        self._end = world.now() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - self._world.now())


class BegunCall(NamedTuple):
    """A call that has begun: its end, and how its first request failed, if that was sent."""

    deadline: Deadline
    failed: RequestFailure | None = None


class RequestSender:
    """Sends the requests of one bucket: throttled, repeated, and only in its own process."""

    def __init__(self, name: str, deadline: float, world: World = REAL) -> None:
        self._name = name
        self._deadline = deadline
        self._world = world
        self._process = os.getpid()
        self._closed = threading.Event()
        self._answered = False
        """Whether the service has ever answered anything."""
        self.throttle = Throttle(world.now, world.wait_for)
        self.outage = Outage(world.now)

    def close(self) -> None:
        """End all waiting. Calls after this are errors."""
        self._closed.set()

    def name_of(self, verb: str, key: str) -> str:
        """The beginning of a message about a call."""
        return f"{self._name}: {verb} {key}" if key else f"{self._name}: {verb}"

    def ask(self, verb: str, key: str, send: Send[T], *, size: int = 0) -> T:
        """The answer to a request. If asking again is not worth it, an error of the table of
        failures."""
        try:
            return self.attempt(verb, key, send, size=size)
        except RequestFailure as failure:
            raise self.to_error(failure, verb, key) from None

    def to_error(self, failure: RequestFailure, verb: str, key: str) -> VolfsError:
        """The error of volfs for the last failure of a call."""
        return to_error(failure, self.name_of(verb, key))

    def attempt(
        self,
        verb: str,
        key: str,
        send: Send[T],
        *,
        size: int = 0,
        decide: Callable[[RequestFailure], T | None] | None = None,
        begun: BegunCall | None = None,
    ) -> T:
        """As ``ask``, but the last ``RequestFailure`` is raised as it is.

        ``decide`` is called after each failed attempt, which may have been carried out
        nevertheless. If it returns something, that is the answer; None means that the request may
        be sent again. ``begun`` is a call that has begun, and perhaps how its first request failed.
        """
        if begun is None:
            self._check_may_try()
            begun = self._begin(size)
        deadline, failed = begun
        attempt, silent = 1, 0
        while True:
            try:
                if failed is not None:
                    raise failed
                reply = self._send(send, deadline)
            except RequestFailure as failure:
                failed = None
                silent = 0 if failure.status else silent + 1
                found = self._consider(failure, decide)
                if found is not None:
                    return found
                pause = pause_before(attempt, failure.wait, self._world.uniform)
                if not self._is_worth(failure, attempt) or pause >= deadline.left:
                    self._judge(failure, silent)
                    raise
                self.wait(pause)
                attempt += 1
                continue
            self.outage.succeed()
            self._answered = True
            return reply

    def try_begin(self, size: int) -> BegunCall | None:
        """Begin a call whose first request the caller sends, without waiting for a place. None if
        there is none. ``end`` follows that request. StoreError as from ``check_process``."""
        self.check_process()
        if self.outage.is_away or not self.throttle.try_enter():
            return None
        return self._begin(size)

    def end(self, *, answered: bool) -> None:
        """Note the end of the request that followed ``try_begin``, and whether it succeeded."""
        self.throttle.leave()
        if answered:
            self.outage.succeed()
            self._answered = True

    def _begin(self, size: int) -> BegunCall:
        return BegunCall(Deadline(self._deadline + size / UPLOAD_RATE, self._world))

    def send_once(self, verb: str, key: str, send: Send[T], seconds: float) -> T:
        """The answer to a request that is sent once. ``RequestFailure``, whose error ``to_error``
        makes; StoreError as from ``check_process``.

        A caller that sends it again, and gives up in the end, calls ``give_up``.
        """
        self._check_may_try()
        try:
            reply = self._send(send, Deadline(seconds, self._world))
        except RequestFailure as failure:
            self._consider(failure, None)
            if not _is_silence(failure):
                self.outage.succeed()
            raise
        self.outage.succeed()
        self._answered = True
        return reply

    def give_up(self, failure: RequestFailure) -> None:
        """Note that a caller of ``send_once`` has given up, because of this failure."""
        if failure.kind is not FailureKind.AWAY:
            self._judge(failure, IN_A_ROW)

    def _check_may_try(self) -> None:
        self.check_process()
        if not self.outage.may_try():
            raise RequestFailure(FailureKind.AWAY)

    def check_process(self) -> None:
        """Raise StoreError in a child of the process that opened the bucket, and after
        ``close``."""
        if os.getpid() != self._process:
            raise StoreError(
                f"{self._name}: opened before a fork; a child process has to open it anew"
            )
        if self._closed.is_set():
            raise StoreError(f"{self._name}: the bucket is closed")

    def _send(self, send: Send[T], deadline: Deadline) -> T:
        try:
            with self.throttle.slot(deadline.left):
                return send(min(ATTEMPT, max(deadline.left, 0.1)))
        except TimeoutError:
            raise RequestFailure(FailureKind.TIMEOUT, "too many requests were waiting") from None

    def _consider(
        self, failure: RequestFailure, decide: Callable[[RequestFailure], T | None] | None
    ) -> T | None:
        if failure.kind is FailureKind.BUSY:
            self.throttle.slow_down()
        if _is_silence(failure):
            self.outage.miss()
        return decide(failure) if decide is not None else None

    def _is_worth(self, failure: RequestFailure, attempt: int) -> bool:
        """Whether to ask again. An endpoint that never answered is more likely wrong than away."""
        is_answer = failure.status != 0 and failure.kind is not FailureKind.PROXY
        self._answered = self._answered or is_answer
        if failure.kind in _WRONG_PLACE and not self._answered:
            return attempt < FIRST_ATTEMPTS
        return failure.row.again

    def _judge(self, failure: RequestFailure, silent: int) -> None:
        """Note whether the service is there, after a call whose last ``silent`` requests had no
        answer. A service that refuses is there; one without an answer may be away.

        An answer such as 500 may be about one object. So a call that ends with one counts once,
        even if requests before it had no answer.
        """
        if _is_silence(failure):
            self.outage.fail(max(1, silent))
        else:
            self.outage.succeed()

    def wait(self, seconds: float) -> None:
        """Wait between two requests. StoreError as soon as the bucket is closed."""
        if self._world.pause(seconds, self._closed):
            raise StoreError(f"{self._name}: the bucket is closed")


def _is_silence(failure: RequestFailure) -> bool:
    """Whether the service may be away."""
    is_timeout = failure.kind is FailureKind.TIMEOUT
    return is_timeout or issubclass(failure.row.error, StoreUnavailableError)
