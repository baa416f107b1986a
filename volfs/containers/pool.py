"""The containers of one function: started as calls come, kept warm, ended when idle.

Each has a thread that starts it, takes calls for it, and ends it. More are
started only while calls wait that none of those that are starting will take, and
few at a time: where calls are short, the first to be ready may have done them all.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.faults import dump_fault
from volfs.containers.messages import GRACE, Invoke
from volfs.containers.running import Running
from volfs.errors import FunctionTimeoutError, RemoteError

STARTS_AT_ONCE = max(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Retries:
    """How often a failed call is run again, and after how many seconds."""

    max_retries: int = 0
    backoff_coefficient: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 60.0

    def delay(self, attempt: int) -> float:
        """Before the retry of this number, from 1."""
        return min(self.max_delay, self.initial_delay * self.backoff_coefficient ** (attempt - 1))


@dataclass(frozen=True)
class PoolOptions:
    """Times in seconds."""

    name: str
    containers: int = 100
    lanes: int = 1
    """Calls that one container runs at once."""
    timeout: float | None = None
    idle: float = 60.0
    uses: int | None = None
    """Calls after which a container ends."""
    retries: Retries = field(default_factory=Retries)


class Call:
    """One that waits for a container, or runs in one."""

    def __init__(self, invoke: Invoke, is_unlimited: bool) -> None:
        self.invoke = invoke
        self.answer = Answer(is_unlimited=is_unlimited)
        self.attempts = 0


class Pool:
    """Threads may share it."""

    def __init__(self, options: PoolOptions, start: Callable[[], Running]) -> None:
        self.options = options
        self._start = start
        self._changed = threading.Condition()
        self._pending: deque[Call] = deque()
        self._running: dict[Running, set[Call]] = {}
        self._orphans: dict[Running, list[Call]] = {}
        """Calls to be run again once the container that died with them has ended."""
        self._threads: set[threading.Thread] = set()
        self._starting = 0
        self._closing = False

    def submit(self, invoke: Invoke, *, is_unlimited: bool = False) -> Answer:
        """``is_unlimited``: its items need not be read for it to go on."""
        call = Call(invoke, is_unlimited)
        call.answer.on_cancel = lambda: self._cancel(call)
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
            self._pending.append(call)
            self._changed.notify_all()
            self._grow()

    def _cancel(self, call: Call) -> None:
        with self._changed:
            if call in self._pending:
                self._pending.remove(call)
                call.answer.fail(_say_cancelled(self.options.name))

    # --- containers ------------------------------------------------------

    def _grow(self) -> None:
        """Start what is needed. Called with the lock."""
        lanes = self.options.lanes
        free = sum(max(0, lanes - len(calls)) for calls in self._running.values())
        wanted = len(self._pending) - free - self._starting * lanes
        count = len(self._running) + self._starting
        while wanted > 0 and self._starting < STARTS_AT_ONCE and count < self.options.containers:
            self._starting += 1
            wanted, count = wanted - lanes, count + 1
            if not self._start_thread():
                return

    def _start_thread(self) -> bool:
        """False, and the first call fails, where the machine gives us no thread."""
        thread = threading.Thread(target=self._run_container, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.discard(thread)
            self._starting -= 1
            if self._pending and not self._running:
                self._pending.popleft().answer.fail(dump_fault(error))
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
        """None, and the first call fails, where it cannot be started."""
        running, fault = None, b""
        try:
            running = self._start()
        except CallFailedError as error:
            fault = error.body
        except Exception as error:  # noqa: BLE001 - it is the caller's
            fault = dump_fault(error)
        with self._changed:
            self._starting -= 1
            if running is not None:
                self._running[running] = set()
            elif self._pending:
                self._pending.popleft().answer.fail(fault)
            self._grow()
        return running

    def _serve(self, running: Running) -> None:
        try:
            while (call := self._take(running)) is not None:
                if self.options.lanes == 1:
                    self._run(running, call)
                else:
                    self._run_apart(running, call)
        finally:
            with self._changed:
                del self._running[running]
                self._grow()
            try:
                running.end()
            finally:
                for call in self._orphans.pop(running, ()):
                    self._queue_again(call)

    def _run_apart(self, running: Running, call: Call) -> None:
        """In a thread of its own, where there is one to be had."""
        try:
            threading.Thread(target=self._run, args=(running, call), daemon=True).start()
        except RuntimeError:
            self._run(running, call)

    def _take(self, running: Running) -> Call | None:
        """The next call for it; None when it is to end."""
        calls = self._running[running]
        with self._changed:
            while not self._closing and not running.is_dead and not self._is_used_up(running):
                if self._pending and len(calls) < self.options.lanes:
                    call = self._pending.popleft()
                    calls.add(call)
                    running.used += 1
                    self._grow()
                    return call
                woken = self._changed.wait(None if calls else self.options.idle)
                if not woken and not self._pending:
                    return None
            while calls:
                self._changed.wait()
        return None

    def _is_used_up(self, running: Running) -> bool:
        return self.options.uses is not None and running.used >= self.options.uses

    # --- calls -----------------------------------------------------------

    def _run(self, running: Running, call: Call) -> None:
        try:
            call.answer.finish(self._get_result(running, call))
        except CallFailedError as error:
            self._fail(running, call, error.body)
        except Exception as error:  # noqa: BLE001 - who waits for the call is told
            self._fail(running, call, dump_fault(error))
        finally:
            with self._changed:
                self._running[running].discard(call)
                self._changed.notify_all()

    def _get_result(self, running: Running, call: Call) -> bytes:
        """CallFailedError."""
        relay = _Relay(call.answer)
        running.call(call.invoke, relay)
        call.answer.on_cancel = relay.cancel
        if call.answer.is_cancelled:
            relay.cancel()
        try:
            return relay.wait(self.options.timeout)
        except TimeoutError:
            running.kill()
            said = f"{self.options.name} ran longer than its timeout of {self.options.timeout} s"
            raise CallFailedError(dump_fault(FunctionTimeoutError(said))) from None

    def _fail(self, running: Running, call: Call, fault: bytes) -> None:
        """Or run it again: where its container died, after that one's last commit."""
        call.attempts += 1
        running.kill_if_broken()
        if call.answer.is_cancelled:
            call.answer.fail(_say_cancelled(self.options.name))
        elif self._closing:
            call.answer.fail(_say_ended(self.options.name))
        elif call.attempts > self.options.retries.max_retries:
            call.answer.fail(fault)
        elif running.is_dead:
            self._orphans.setdefault(running, []).append(call)
        else:
            self._queue_again(call)

    def _queue_again(self, call: Call) -> None:
        call.answer.on_cancel = lambda: self._cancel(call)
        timer = threading.Timer(
            self.options.retries.delay(call.attempts), self._queue, args=(call,)
        )
        timer.daemon = True
        timer.start()

    # --- the end ---------------------------------------------------------

    def close(self) -> int:
        """End all containers, those that run something too; how many calls that ended.

        Exit handlers run, and the volumes are committed.
        """
        with self._changed:
            self._closing = True
            running = (call for calls in self._running.values() for call in calls)
            ended = [call for call in running if not call.answer.is_cancelled]
            pending, self._pending = list(self._pending), deque()
            for container, calls in self._running.items():
                if calls:
                    container.terminate()
            self._changed.notify_all()
        for call in pending:
            call.answer.fail(_say_ended(self.options.name))
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
    """Of one attempt: items go straight to the caller."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(is_unlimited=answer.is_unlimited)
        self.add = answer.add  # type: ignore[method-assign]
        answer.on_taken = lambda amount: self.on_taken(amount)


def _say_ended(name: str) -> bytes:
    return dump_fault(RemoteError(f"{name}: the app has ended"))


def _say_cancelled(name: str) -> bytes:
    return dump_fault(RemoteError(f"{name}: the call was cancelled"))
