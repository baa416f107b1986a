"""HTTP servers of this process: one for each endpoint, at a port of its own, in one thread."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Collection
from typing import Any

from volfs.errors import ExecutionError, InvalidError

GRACE = 5
"""Seconds that open requests have at the end."""
_TRIED = 100
"""The number of ports to try after the first one, if other programs have the next ports."""


class Servers:
    """The HTTP servers, which answer from ``start`` until ``stop``."""

    def __init__(self, fronts: Collection[tuple[Any, socket.socket]]) -> None:
        from uvicorn import Config, Server

        self._servers = [
            (
                Server(
                    Config(
                        front,
                        lifespan="off",
                        log_config=None,
                        access_log=False,
                        timeout_graceful_shutdown=GRACE,
                    )
                ),
                line,
            )
            for front, line in fronts
        ]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def _run(self) -> None:
        await asyncio.gather(*(server.serve(sockets=[line]) for server, line in self._servers))

    def stop(self) -> None:
        """Stop the servers. When this returns, no request is open."""
        for server, _ in self._servers:
            server.should_exit = True
        if self._servers:
            self._thread.join()


def listen(host: str, port: int, avoided: Collection[int]) -> socket.socket:
    """Open a socket at a port; at any free port for 0. InvalidError; ExecutionError."""
    if port in avoided:
        raise InvalidError(f"port {port}: a web_server of the app listens there; choose another")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        line = socket.create_server(address[:2], family=family)
    except OSError as error:
        why = str(error.strerror or error).partition(" (while")[0]
        raise ExecutionError(f"cannot listen at {host}:{port}: {why}; choose others") from None
    # Connections inherit this option. asyncio would not set it, and each response would take 40
    # ms.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def listen_next(host: str, port: int, avoided: Collection[int]) -> socket.socket:
    """Open a socket at the first free port from this one on. ExecutionError."""
    for candidate in range(port, min(port + _TRIED, 1 << 16)):
        if candidate not in avoided:
            try:
                return listen(host, candidate, avoided)
            except ExecutionError:
                continue
    raise ExecutionError(f"no port is free from {port} on")


def get_port(line: socket.socket) -> int:
    port: int = line.getsockname()[1]
    return port


def make_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(line: socket.socket) -> bool:
    """Whether only this machine can reach a socket."""
    return ipaddress.ip_address(line.getsockname()[0]).is_loopback
