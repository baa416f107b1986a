"""Waiting for another process, at the server: ``store.tables.Signal`` on a connection of its own.

A *bell* is a list of tokens: one ring wakes one waiter, the one that has waited longest. A
*stream* wakes all who wait. Each wait ends by itself after the seconds that it was given, so a
ring that a dying waiter took delays the others by no more than that.
"""

from __future__ import annotations

from typing import Any

from volfs.errors import StoreTimeoutError, StoreUnavailableError
from volfs.store.redis.table_server import TableServer, Word, cut, is_open


class _ServerSignal:
    """One call's wait. ``wake`` ends it from another thread, and so ends all later ones."""

    def __init__(self, server: TableServer, key: bytes) -> None:
        self._server = server
        self._key = key
        self._connection: Any = None
        self._woken = False

    def ticket(self) -> int:
        return 0

    def wait(self, ticket: int, seconds: float) -> None:
        if seconds <= 0:
            return
        with self._server.connected() as connection:
            self._connection = connection
            try:
                if not self._woken:
                    self._ask(connection, seconds)
            finally:
                self._connection = None
                if self._woken:
                    connection.disconnect()

    def wake(self, waiters: int | None = None) -> None:
        self._woken = True
        if (connection := self._connection) is not None:
            cut(connection)

    def _ask(self, connection: Any, seconds: float) -> None:
        try:
            self._server.ask(connection, *self._command(max(seconds, 0.001)))
        except (StoreUnavailableError, StoreTimeoutError):
            # The wait has taken nothing. The next look says whether the server has gone.
            if is_open(connection):
                raise

    def _command(self, seconds: float) -> tuple[Word, ...]:
        raise NotImplementedError


class Bell(_ServerSignal):
    """Wakes one waiter for each token."""

    def _command(self, seconds: float) -> tuple[Word, ...]:
        return "BLPOP", self._key, f"{seconds:.3f}"


class ChangeStream(_ServerSignal):
    """Wakes all who wait. ``seen`` is the last entry that the last look has seen."""

    seen: bytes = b"0-0"

    def _command(self, seconds: float) -> tuple[Word, ...]:
        block = max(1, int(seconds * 1000))
        return "XREAD", "BLOCK", block, "STREAMS", self._key, self.seen
