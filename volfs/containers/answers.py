"""The answer to a call: items, as they come, and then a result or an error.

Everything is bytes here. The process that made the call and the process that serves it read them.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from volfs.services.signal_wait import CancelledWaitError, wait_for

TAKEN_STEP = 4 << 20
"""The bytes of items between two reports that items have been read."""
UNLIMITED = 1 << 62
_ITEM_COST = 64


def compute_cost(item: bytes) -> int:
    """The approximate memory that an item takes, in bytes."""
    return len(item) + _ITEM_COST


class CallFailedError(Exception):
    """The call raised an error. ``body`` holds it (``remote_errors.load_fault``)."""

    def __init__(self, body: bytes) -> None:
        super().__init__("a call failed")
        self.body = body


@dataclass(frozen=True, slots=True)
class Outcome:
    body: bytes
    is_failure: bool = False


class _Changes:
    """A ``Signal`` between the threads of one process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def ticket(self) -> int:
        return self._count

    def wait(self, ticket: int, seconds: float) -> None:
        with self._condition:
            if self._count == ticket:
                self._condition.wait(seconds)

    def wake(self, waiters: int | None = None) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()


class Answer:
    """The answer to one call, filled by one thread and awaited by others. The code that works on
    it registers with ``work_on``.

    The thread that fills it waits for the thread that reads the items, unless the answer
    ``is_unlimited``.
    """

    def __init__(self, *, is_unlimited: bool = False) -> None:
        self._on_cancel: Callable[[], None] | None = None
        self._on_taken: Callable[[int], None] | None = None
        self._commit: Callable[[], None] | None = None
        self.is_unlimited = is_unlimited
        self._taken = 0
        self.is_cancelled = False
        self._items: deque[bytes] = deque()
        self._outcome: Outcome | None = None
        self._changes = _Changes()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    # --- filling an answer -----------------------------------------------

    def work_on(
        self,
        on_cancel: Callable[[], None] | None = None,
        *,
        on_taken: Callable[[int], None] | None = None,
        commit: Callable[[], None] | None = None,
    ) -> None:
        """Register the code that works on the answer. From now on, ``on_cancel`` is called when
        nobody wants the answer, and ``on_taken`` with each number of bytes of items that have
        been read.

        ``commit`` commits what the call has written so far. An argument that is left out keeps its
        earlier value.
        """
        self._on_cancel = on_cancel or self._on_cancel
        self._on_taken = on_taken or self._on_taken
        self._commit = commit or self._commit

    def add(self, item: bytes) -> None:
        self._items.append(item)
        self._changes.wake()

    def finish(self, body: bytes) -> None:
        self._end(Outcome(body))

    def fail(self, body: bytes) -> None:
        self._end(Outcome(body, is_failure=True))

    def _end(self, outcome: Outcome) -> None:
        """Set the outcome and tell the listeners. Only the first outcome counts."""
        with self._lock:
            if self._outcome is not None:
                return
            self._outcome = outcome
            self._on_cancel = None  # It may refer to the code that ran the call.
            listeners, self._listeners = self._listeners, []
        self._changes.wake()
        for listener in listeners:
            try:
                listener()
            except Exception:  # noqa: BLE001 - the other listeners, and those who wait, must be told
                traceback.print_exc()

    # --- using an answer -------------------------------------------------

    @property
    def is_done(self) -> bool:
        return self._outcome is not None

    @property
    def size(self) -> int:
        """The bytes that wait to be read."""
        outcome = self._outcome
        return sum(map(len, self._items)) + (len(outcome.body) if outcome else 0)

    def when_done(self, listener: Callable[[], None]) -> None:
        """Call a listener in the thread that ends the answer, or now if it has ended."""
        with self._lock:
            if self._outcome is None:
                self._listeners.append(listener)
                return
        listener()

    def wait(self, seconds: float | None = None) -> bytes:
        """Wait for the result. CallFailedError; TimeoutError. A wait that is cancelled cancels the
        call."""
        try:
            outcome = wait_for(lambda: self._outcome, self._changes, seconds)
        except CancelledWaitError:
            self.cancel()
            raise
        if outcome is None:
            raise TimeoutError
        return _get_body(outcome)

    def iter_items(self) -> Iterator[bytes]:
        """Give each item once, as they come. CallFailedError after the last item."""
        try:
            while wait_for(self._find_progress, self._changes, None):
                while self._items:
                    yield self._take()
                if self._outcome is not None and not self._items:
                    _get_body(self._outcome)
                    return
        finally:
            if not self.is_done:
                self.cancel()

    def _take(self) -> bytes:
        item = self._items.popleft()
        self._taken += compute_cost(item)
        if self._taken >= TAKEN_STEP:
            self.tell_taken(self._taken)
            self._taken = 0
        return item

    def _find_progress(self) -> bool | None:
        return True if self._items or self._outcome is not None else None

    def cancel(self) -> None:
        """Say that nobody wants the answer any more. What has been done already stays done."""
        self.is_cancelled = True
        if (on_cancel := self._on_cancel) is not None:
            on_cancel()

    def tell_taken(self, amount: int) -> None:
        """Report that so many bytes of items have been read, or need not be waited for."""
        if self._on_taken is not None:
            self._on_taken(amount)

    def commit_now(self) -> None:
        """Commit what the call has written so far, so that others can see it before the call
        ends."""
        if self._commit is not None:
            self._commit()


def _get_body(outcome: Outcome) -> bytes:
    if outcome.is_failure:
        raise CallFailedError(outcome.body)
    return outcome.body
