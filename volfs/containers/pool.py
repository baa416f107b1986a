"""The containers of one function: started as calls come, kept warm, ended when idle.

Each container has a thread that starts it, takes calls for it, and ends it. The pool starts more
containers only while calls wait that the starting containers will not take, and only few at a
time: if calls are short, the first container that is ready may have done them all.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from volfs.containers.answers import Answer, CallFailedError, Outcome
from volfs.containers.batches import load_outcomes
from volfs.containers.gathering import Batching, Gathering
from volfs.containers.messages import GRACE, HandleRequest, Invoke, InvokeBatch
from volfs.containers.remote_errors import dump_fault
from volfs.containers.retries import Retries
from volfs.containers.worker_container import Running
from volfs.errors import FunctionTimeoutError, RemoteError, VolfsError

log = logging.getLogger(__name__)

LAST_COMMIT = 10.0
"""Seconds that a failure waits for the commit of what the call has written."""
STARTS_AT_ONCE = max(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class PoolOptions:
    """The name of the function and the limits of its pool. Times are in seconds."""

    name: str
    containers: int = 100
    lanes: int = 1
    """The number of calls (or of batches of them) that one container runs at once."""
    timeout: float | None = None
    idle: float = 60.0
    uses: int | None = None
    """The number of calls after which a container ends. None: no limit."""
    retries: Retries = field(default_factory=lambda: Retries(0))


class Call:
    """A call that waits for a container, or runs in one."""

    def __init__(
        self, message: Invoke | HandleRequest, is_unlimited: bool, batching: Batching | None
    ) -> None:
        self.message = message
        self.batching = batching
        self.answer = Answer(is_unlimited=is_unlimited)
        self.attempts = 0
        self.since = 0.0

    @property
    def method(self) -> str:
        return self.message.method


SentCall = Invoke | InvokeBatch | HandleRequest
Calls = tuple[Call, ...]
"""Calls that a container runs as one. A function that is not batched has batches of one call."""


@dataclass(frozen=True)
class Orphan:
    """A call whose container died, and the fault that it fails with. None: it is to be run
    again."""

    call: Call
    fault: bytes | None


class Pool:
    """The containers of one function, and the calls that wait for them. Threads may share a
    pool."""

    def __init__(self, options: PoolOptions, start: Callable[[], Running]) -> None:
        self.options = options
        self._start = start
        self._changed = threading.Condition()
        self._pending: Gathering[Call] = Gathering()
        self._running: dict[Running, set[Calls]] = {}
        self._orphans: dict[Running, list[Orphan]] = {}
        """For each container that died with calls: the calls to end, or to run again, once it has
        ended."""
        self._threads: set[threading.Thread] = set()
        self._starting = 0
        self._closing = False

    def count(self) -> tuple[int, int, int, int]:
        """The numbers of waiting calls, of containers, of running calls, and of further batches
        that these containers would take."""
        with self._changed:
            lanes, batches = self.options.lanes, list(self._running.values())
            running = sum(len(batch) for taken in batches for batch in taken)
            free = sum(max(0, lanes - len(taken)) for taken in batches)
            return len(self._pending), len(batches), running, free

    def submit(
        self,
        message: Invoke | HandleRequest,
        *,
        is_unlimited: bool = False,
        batching: Batching | None = None,
    ) -> Answer:
        """Queue a call and return its answer. With ``is_unlimited`` the call goes on even if
        nobody reads its items."""
        call = Call(message, is_unlimited, batching)
        call.answer.work_on(lambda: self._cancel(call))
        self._queue(call)
        return call.answer

    def _queue(self, call: Call) -> None:
        with self._changed:
            if self._closing:
                call.answer.fail(_say_ended(self.options.name))
                return
            if call.answer.is_cancelled:
                call.answer.fail(_say_cancelled(self.options.name))
                return
            call.since = time.monotonic()
            self._pending.add(call)
            self._changed.notify_all()
            self._grow()

    def _cancel(self, call: Call) -> None:
        with self._changed:
            if self._pending.remove(call):
                call.answer.fail(_say_cancelled(self.options.name))

    # --- containers ------------------------------------------------------

    def _grow(self) -> None:
        """Start the containers that are needed. The caller holds the lock."""
        lanes = self.options.lanes
        free = sum(max(0, lanes - len(batches)) for batches in self._running.values())
        wanted = self._pending.count_batches() - free - self._starting * lanes
        count = len(self._running) + self._starting
        while wanted > 0 and self._starting < STARTS_AT_ONCE and count < self.options.containers:
            self._starting += 1
            wanted, count = wanted - lanes, count + 1
            if not self._start_thread():
                return

    def _start_thread(self) -> bool:
        """Start a container in a thread. False if the machine gives us no thread; the first batch
        fails then if no container runs."""
        thread = threading.Thread(target=self._run_container, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.discard(thread)
            self._starting -= 1
            if not self._running:
                _fail_all(self._pending.take_any(), dump_fault(error))
            return False
        return True

    def _run_container(self) -> None:
        try:
            running = self._start_container()
            if running is not None:
                self._serve(running)
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _start_container(self) -> Running | None:
        """Start a container. None if it cannot be started; the first batch fails then."""
        running, fault = None, b""
        try:
            running = self._start()
        except CallFailedError as error:
            fault = error.body
        except Exception as error:  # noqa: BLE001 - the error is for the caller
            fault = dump_fault(error)
        with self._changed:
            self._starting -= 1
            if running is not None:
                self._running[running] = set()
            else:
                _fail_all(self._pending.take_any(), fault)
            self._grow()
        return running

    def _serve(self, running: Running) -> None:
        try:
            while batch := self._take(running):
                if self.options.lanes == 1:
                    self._run(running, batch)
                else:
                    self._run_apart(running, batch)
        finally:
            with self._changed:
                del self._running[running]
                self._grow()
            self._end(running)

    def _end(self, running: Running) -> None:
        """End a container. The callers whose calls it died with hear of it when what these calls
        wrote is committed.

        If its disk hangs, the end may take for ever, so the callers hear of it after
        ``LAST_COMMIT`` seconds at the latest.
        """
        orphans = self._orphans.pop(running, [])
        patience = threading.Timer(LAST_COMMIT, _tell_failed, args=(orphans,))
        patience.daemon = True
        try:
            if orphans:
                patience.start()
            running.end()
        finally:
            patience.cancel()
            _tell_failed(orphans)
            for orphan in orphans:
                if orphan.fault is None:
                    self._queue_again(orphan.call)

    def _run_apart(self, running: Running, batch: Calls) -> None:
        """Run a batch in a thread of its own, if the machine gives us one."""
        try:
            threading.Thread(target=self._run, args=(running, batch), daemon=True).start()
        except RuntimeError:
            self._run(running, batch)

    def _take(self, running: Running) -> Calls:
        """Wait for the next batch for a container; an empty batch if the container is to end."""
        batches = self._running[running]
        end = time.monotonic() + self.options.idle
        with self._changed:
            while not self._closing and not running.is_dead and not self._is_used_up(running):
                now = time.monotonic()
                end = now + self.options.idle if batches else end
                has_room = len(batches) < self.options.lanes
                if has_room and (batch := self._pending.take(now)):
                    batches.add(batch)
                    running.used += len(batch)
                    self._grow()
                    return batch
                if not batches and not self._pending and now >= end:
                    return ()
                ripe = self._pending.compute_wait(now) if has_room else None
                self._changed.wait(ripe if ripe is not None or batches else end - now)
            while batches:
                self._changed.wait()
        return ()

    def _is_used_up(self, running: Running) -> bool:
        return self.options.uses is not None and running.used >= self.options.uses

    # --- calls -----------------------------------------------------------

    def _run(self, running: Running, batch: Calls) -> None:
        try:
            self._end_calls(running, batch, self._get_outcomes(running, batch))
        except CallFailedError as error:
            self._end_calls(running, batch, [Outcome(error.body, True)] * len(batch))
        except Exception as error:  # noqa: BLE001 - those who wait for the calls get the error
            self._end_calls(running, batch, [Outcome(dump_fault(error), True)] * len(batch))
        finally:
            with self._changed:
                self._running[running].discard(batch)
                self._changed.notify_all()

    def _end_calls(self, running: Running, batch: Calls, outcomes: Sequence[Outcome]) -> None:
        if any(outcome.is_failure for outcome in outcomes):
            running.kill_if_broken()
        for call, outcome in zip(batch, outcomes, strict=True):
            if outcome.is_failure:
                self._fail(running, call, outcome.body)
            else:
                call.answer.finish(outcome.body)

    def _get_outcomes(self, running: Running, batch: Calls) -> Sequence[Outcome]:
        """Run a batch and return the outcome of each call. CallFailedError for an error of the
        whole batch."""
        first = batch[0].message
        if isinstance(first, HandleRequest) or batch[0].batching is None:
            return [Outcome(self._get_result(running, batch, first))]
        messages = (call.message for call in batch)
        arguments = [one.arguments for one in messages if isinstance(one, Invoke)]
        message = InvokeBatch(first.method, arguments, first.call_id)
        return load_outcomes(self._get_result(running, batch, message))

    def _get_result(self, running: Running, batch: Calls, message: SentCall) -> bytes:
        """Run a batch, and return its result once what the calls wrote is committed.
        CallFailedError; VolfsError of the commit."""
        try:
            body = self._await_result(running, batch, message)
        except CallFailedError:
            _commit_failed(running)
            raise
        running.commit_changes()
        return body

    def _await_result(self, running: Running, batch: Calls, message: SentCall) -> bytes:
        """Run a batch and return its result. CallFailedError, also after the timeout."""
        relay = _Relay(batch[0].answer)
        first = batch[0].answer
        first.work_on(on_taken=relay.tell_taken, commit=running.commit_changes)
        running.call(message, relay)
        for call in batch:
            call.answer.work_on(partial(_cancel_if_unwanted, batch, relay))
        _cancel_if_unwanted(batch, relay)
        try:
            return relay.wait(self.options.timeout)
        except TimeoutError:
            running.kill()
            said = f"{self.options.name} ran longer than its timeout of {self.options.timeout} s"
            raise CallFailedError(dump_fault(FunctionTimeoutError(said))) from None

    def _fail(self, running: Running, call: Call, fault: bytes) -> None:
        """Let a call fail, or run it again. If its container died, that waits for the container's
        last commit."""
        call.attempts += 1
        said = self._choose_fault(call, fault)
        if running.is_dead:
            self._orphans.setdefault(running, []).append(Orphan(call, said))
        elif said is None:
            self._queue_again(call)
        else:
            call.answer.fail(said)

    def _choose_fault(self, call: Call, fault: bytes) -> bytes | None:
        """The fault that a call fails with; None if it is to be run again."""
        if call.answer.is_cancelled:
            return _say_cancelled(self.options.name)
        if self._closing:
            return _say_ended(self.options.name)
        return fault if call.attempts > self._count_retries(call) else None

    def _count_retries(self, call: Call) -> int:
        """The number of retries that a call may have. A request has none, because its response may
        have begun, and cannot begin again."""
        return 0 if isinstance(call.message, HandleRequest) else self.options.retries.max_retries

    def _queue_again(self, call: Call) -> None:
        call.answer.work_on(lambda: self._cancel(call))
        timer = threading.Timer(
            self.options.retries.delay(call.attempts), self._queue, args=(call,)
        )
        timer.daemon = True
        timer.start()

    # --- ending the pool -------------------------------------------------

    def close(self) -> int:
        """End all containers, also those that run calls, and return the number of calls that this
        ended.

        Exit handlers run, and the volumes are committed.
        """
        with self._changed:
            self._closing = True
            running = [call for s in self._running.values() for batch in s for call in batch]
            ended = [call for call in running if not call.answer.is_cancelled]
            pending = list(self._pending.take_all())
            for container, batches in self._running.items():
                if batches:
                    container.terminate()
            self._changed.notify_all()
        _fail_all(pending, _say_ended(self.options.name))
        self._wait_for_threads()
        return len(ended) + len(pending)

    def _wait_for_threads(self) -> None:
        deadline = time.monotonic() + GRACE
        with self._changed:
            while self._threads and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            stuck = list(self._running)
        for running in stuck:
            running.kill()
        for thread in list(self._threads):
            thread.join()


class _Relay(Answer):
    """The answer of one attempt. Its items go straight to the caller."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(is_unlimited=answer.is_unlimited)
        self._caller = answer

    def add(self, item: bytes) -> None:
        self._caller.add(item)


def _cancel_if_unwanted(batch: Calls, relay: _Relay) -> None:
    """Cancel a batch if all of its calls are cancelled; else fail the cancelled calls, and let the
    batch go on."""
    cancelled = [call for call in batch if call.answer.is_cancelled]
    if len(cancelled) == len(batch):
        relay.cancel()
    else:
        _fail_all(cancelled, _say_cancelled(batch[0].method or "the function"))


def _fail_all(calls: Sequence[Call], fault: bytes) -> None:
    for call in calls:
        call.answer.fail(fault)


def _commit_failed(running: Running) -> None:
    """Commit what a call wrote before it failed. An error of this commit is only logged, because
    the caller gets the error of the call."""
    running.kill_if_broken()
    if not running.is_dead:
        try:
            running.commit_changes()
        except VolfsError as error:
            log.error("%s", error)


def _tell_failed(orphans: Sequence[Orphan]) -> None:
    for orphan in orphans:
        if orphan.fault is not None:
            orphan.call.answer.fail(orphan.fault)


def _say_ended(name: str) -> bytes:
    return dump_fault(RemoteError(f"{name}: the app has ended"))


def _say_cancelled(name: str) -> bytes:
    return dump_fault(RemoteError(f"{name}: the call was cancelled"))
