"""In a container: a function that starts a server of its own, which listens at a port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from volfs.containers.connection import Incoming
from volfs.containers.endpoint import Endpoint
from volfs.errors import ExecutionError, InvalidError

_PAUSE = 0.02
_HOST = "127.0.0.1"


def run_web_server(
    incoming: Incoming,
    endpoint: Endpoint,
    function: Callable[[], Any],
    wait_for: Callable[[Any], Any],
) -> None:
    """Send an item when the server can be reached, and go on until nobody wants the call any more.

    The function may start the server and return, or be the server. InvalidError if another program
    listens at the port; ExecutionError if the server does not begin in time.
    """
    if _is_open(endpoint.port):
        raise InvalidError(f"port {endpoint.port}: another program listens there already")
    unwanted = threading.Event()
    incoming.when_cancelled(unwanted.set)
    failed: list[BaseException] = []
    wait_for_function = threading.Thread(
        target=_run, args=(lambda: wait_for(function()), failed, unwanted), daemon=True
    )
    wait_for_function.start()
    _wait_until_open(endpoint, unwanted)
    if not failed:
        incoming.item(b"")
        unwanted.wait()
    if failed:
        raise failed[0]


def _run(function: Callable[[], Any], failed: list[BaseException], end: threading.Event) -> None:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
        failed.append(error)
        end.set()


def _wait_until_open(endpoint: Endpoint, unwanted: threading.Event) -> None:
    end = time.monotonic() + endpoint.startup_timeout
    while not unwanted.is_set() and not _is_open(endpoint.port):
        if time.monotonic() > end:
            raise ExecutionError(
                f"port {endpoint.port}: nothing listens there {endpoint.startup_timeout} s after "
                "the function was called; startup_timeout= gives it more time"
            )
        unwanted.wait(_PAUSE)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True
