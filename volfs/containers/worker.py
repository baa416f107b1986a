"""``python -m volfs.containers.worker FD``: runs a function in a container.

The calls come over the socket FD. They run in the main thread, so that programs may do what only
that thread may (signals). With more than one lane, they run in other threads. SIGTERM ends the
call that is running, and then this process, in good order.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from volfs.containers.batches import run_batch
from volfs.containers.connection import Connection, Incoming
from volfs.containers.endpoint import find_endpoint
from volfs.containers.loop import Loop
from volfs.containers.messages import (
    GRACE,
    HandleRequest,
    Invoke,
    InvokeBatch,
    Service,
    Start,
    current_call,
    decode,
    load_arguments,
    this_process,
)
from volfs.containers.pickling import dump, load
from volfs.containers.remote_errors import dump_fault
from volfs.containers.web_servers import run_web_server
from volfs.errors import ExecutionError, InvalidError
from volfs.errors.ported import InputCancellation

if TYPE_CHECKING:
    from volfs.containers.web_apps import WebApps


class Worker:
    """One service, and the calls to it. Only the main thread may run it."""

    def __init__(self, line: socket.socket) -> None:
        self._inbox: queue.SimpleQueue[Incoming | None] = queue.SimpleQueue()
        self._connection = Connection(line, self._receive, self._notice_end)
        self._loop = Loop()
        self._service: Service | None = None
        self._lanes = 1
        self._running = 0
        self._making = threading.Lock()
        self._web_apps: WebApps | None = None

    def run(self) -> None:
        """Answer calls until the other end has gone, or SIGTERM comes."""
        this_process.runner = self._connection
        signal.signal(signal.SIGTERM, _end)
        threading.Thread(target=self._connection.read, daemon=True).start()
        try:
            while (incoming := self._inbox.get()) is not None:
                self._answer(incoming)
        finally:
            self._stop()

    def _receive(self, incoming: Incoming) -> None:
        incoming.when_cancelled(self._end_the_only_call)
        self._inbox.put(incoming)

    def _end_the_only_call(self) -> None:
        """End the running call, if there can be only one. With several lanes, a call that nobody
        wants is left to end by itself."""
        if self._lanes == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def _notice_end(self) -> bytes:
        self._inbox.put(None)
        if self._running:
            os.kill(os.getpid(), signal.SIGTERM)
        return dump_fault(ExecutionError("the process that runs the app has ended"))

    # --- calls -----------------------------------------------------------

    def _answer(self, incoming: Incoming) -> None:
        try:
            message = decode(incoming.body)
        except Exception as error:  # noqa: BLE001 - the error is for the caller
            incoming.failed(dump_fault(error))
            return
        match message:
            case Start():
                self._run_guarded(incoming, lambda: self._start(message))
            case Invoke():
                self._run_in_lane(incoming, lambda: self._invoke(incoming, message))
            case InvokeBatch():
                self._run_in_lane(incoming, lambda: self._invoke_batch(message))
            case HandleRequest():
                self._run_in_lane(incoming, lambda: self._handle(incoming, message))
            case _:
                incoming.failed(dump_fault(InvalidError(f"a call of {type(message).__name__}")))

    def _run_in_lane(self, incoming: Incoming, work: Callable[[], bytes]) -> None:
        if self._lanes == 1:
            self._run_guarded(incoming, work)
            return
        run = partial(self._run_guarded, incoming, work)
        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError as error:  # no more threads
            incoming.failed(dump_fault(error))

    def _run_guarded(self, incoming: Incoming, work: Callable[[], bytes]) -> None:
        self._running += 1
        try:
            body = work()
        except _Ending:
            raise
        except BaseException as error:  # noqa: BLE001 - the error is for the caller, whatever it is
            _flush()
            incoming.failed(dump_fault(error))
        else:
            _flush()
            incoming.done(body)
        finally:
            self._running -= 1

    def _start(self, message: Start) -> bytes:
        sys.path[:] = dict.fromkeys((*message.import_paths, *sys.path))
        self._lanes = message.lanes
        service: Service = load(message.service, "the function")
        self._service = service
        for step in service.start():
            self._await(step)
        return b""

    def _invoke(self, incoming: Incoming, message: Invoke) -> bytes:
        if self._service is None:
            raise InvalidError("a call before the start")
        current_call.set(message.call_id)
        args, kwargs = load_arguments(message.arguments)
        result = self._await(self._service.call(message.method, args, kwargs))
        if self._service.gives_items(message.method):
            self._send_items(incoming, result)
            result = None
        return dump(result, "the result")

    def _invoke_batch(self, message: InvokeBatch) -> bytes:
        if self._service is None:
            raise InvalidError("a call before the start")
        current_call.set(message.call_id)
        return run_batch(self._service, message, self._await)

    def _handle(self, incoming: Incoming, message: HandleRequest) -> bytes:
        if self._service is None:
            raise InvalidError("a call before the start")
        current_call.set(message.call_id)
        function = self._service.get_bound(message.method)
        endpoint = find_endpoint(function)
        if endpoint is not None and endpoint.kind == "web_server":
            run_web_server(incoming, endpoint, function, self._await)
        else:
            self._get_web_apps(self._service).handle(incoming, message)
        return b""

    def _get_web_apps(self, service: Service) -> WebApps:
        from volfs.containers.web_apps import WebApps  # web_apps imports asyncio

        with self._making:
            if self._web_apps is None:
                self._web_apps = WebApps(service, self._loop, self._connection)
            return self._web_apps

    def _send_items(self, incoming: Incoming, generator: Any) -> None:
        incoming.when_cancelled(None)
        items: Any = generator
        if inspect.isasyncgen(generator):
            items = self._loop.iterate(generator)
        elif not inspect.isgenerator(generator):
            items = (item for item in generator)
        with contextlib.closing(items):
            for item in items:
                incoming.item(dump(item, "an item"))
                if incoming.is_cancelled:
                    return

    def _await(self, result: Any) -> Any:
        return self._loop.run(result) if inspect.iscoroutine(result) else result

    def _stop(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._web_apps is not None:
            self._web_apps.close()
        for step in self._service.stop() if self._service else ():
            self._await(step)
        _warn_of_threads()
        _flush()
        self._connection.close()


class _Ending(SystemExit, InputCancellation):
    """SIGTERM has come. To the program this means that its call is cancelled."""


def _end(number: int, frame: Any) -> NoReturn:
    raise _Ending(0)


def _warn_of_threads() -> None:
    """Say which threads still run, because the interpreter waits for them. Whoever waits for the
    container's end should know the reason."""
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    others.remove(threading.main_thread())
    if others:
        names = ", ".join(thread.name for thread in others)
        print(
            f"volfs: {len(others)} thread(s) of the function still run: {names}; its container "
            f"ends when they do, and after {GRACE:.0f} s whatever they do",
            file=sys.stderr,
        )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


if __name__ == "__main__":
    for _stream in (sys.stdout, sys.stderr):
        _stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with socket.socket(fileno=int(sys.argv.pop())) as _line:
        Worker(_line).run()
