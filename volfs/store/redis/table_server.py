"""A server: connections to it, scripts that it runs, and how long anybody waits for it.

A connection serves one call at a time. Connections that nobody uses are kept for later calls. A
forked child makes its own.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from volfs.errors import (
    InvalidError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
    StoreUncertainError,
    UnsupportedFormatError,
)
from volfs.store.redis.address import TablesAddress
from volfs.store.redis.server_errors import find_answer, say_refusal, say_unreachable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""How long a call waits for each part of an answer."""
IDLE_MAX = 32
OLDEST = (7, 0)
Word = bytes | str | int


class Script:
    """A program in Lua that the server runs alone.

    ``adds`` says that the script may need memory: a server that has none refuses it before it
    begins. ``changes`` says that it matters whether a script without an answer has run.
    """

    def __init__(self, body: str, *, adds: bool = False, changes: bool = True) -> None:
        self.text = ("#!lua\n" if adds else "#!lua flags=allow-oom\n") + body
        self.changes = changes

    @cached_property
    def digest(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class TableServer:
    """A database of a server. Threads and forks may share it."""

    def __init__(self, address: TablesAddress) -> None:
        """InvalidError without the library."""
        self.address = address
        self._library = _load_library()
        self._idle: list[Any] = []
        self._pid = os.getpid()

    # --- calls -----------------------------------------------------------

    def run(self, script: Script, keys: Sequence[Word], words: Sequence[Word]) -> Any:
        """The answer of a script. StoreUncertainError if it may have run without an answer."""
        call = (script.digest, len(keys), *keys, *words)
        with self.connected() as connection:
            try:
                return self._exchange(connection, script.changes, "EVALSHA", *call)
            except self._library.exceptions.NoScriptError:
                self._exchange(connection, False, "SCRIPT LOAD", script.text)
                return self._exchange(connection, script.changes, "EVALSHA", *call)

    def call(self, *words: Word, changes: bool = False) -> Any:
        """The answer to a command."""
        with self.connected() as connection:
            return self._exchange(connection, changes, *words)

    def ask(self, connection: Any, *words: Word) -> Any:
        """The answer to a command that changes nothing of value, in a connection that was
        lent."""
        return self._exchange(connection, False, *words)

    def _exchange(self, connection: Any, changes: bool, *words: Word) -> Any:
        errors = self._library.exceptions
        try:
            connection.send_command(*words)
            return connection.read_response()
        except errors.NoScriptError:
            raise
        except (errors.RedisError, OSError) as error:
            answer = find_answer(error)
            if answer is not None:
                raise say_refusal(self.address, answer) from None
            connection.disconnect()
            raise self._say_lost(error, changes) from None
        except BaseException:
            # An answer that comes later would be taken for that of another call.
            connection.disconnect()
            raise

    def _say_lost(self, error: Exception, changes: bool) -> StoreError:
        late = isinstance(error, self._library.exceptions.TimeoutError | TimeoutError)
        why = f"no answer for {ANSWER_SECONDS:g} s" if late else "the connection was lost"
        said = f"tables {self.address.text}: {why}"
        if changes:
            return StoreUncertainError(f"{said}; the change may have been made or not")
        return (StoreTimeoutError if late else StoreUnavailableError)(said)

    # --- connections -----------------------------------------------------

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Lend a connection. It is kept for the next call unless it was closed."""
        connection = self._take()
        try:
            yield connection
        finally:
            if is_open(connection) and len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
            else:
                connection.disconnect()

    def _take(self) -> Any:
        if self._pid != os.getpid():
            # The sockets are the parent's.
            self._idle, self._pid = [], os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break  # Another thread was first.
            if self._is_fresh(connection):
                return connection
        return self._connect()

    def _is_fresh(self, connection: Any) -> bool:
        """Whether the server has neither closed a connection nor said anything in it."""
        try:
            fresh = is_open(connection) and not connection.can_read(timeout=0)
        except (self._library.exceptions.RedisError, OSError):
            fresh = False
        if not fresh:
            connection.disconnect()
        return fresh

    def _connect(self) -> Any:
        connection = self._make()
        errors = self._library.exceptions
        try:
            connection.connect()
        except (errors.RedisError, OSError, ValueError) as error:
            connection.disconnect()
            answer = find_answer(error)
            if answer is not None:
                raise say_refusal(self.address, answer) from None
            raise say_unreachable(self.address, error) from None
        return connection

    def _make(self) -> Any:
        address, library = self.address, self._library.connection
        options: dict[str, Any] = {
            "db": address.db,
            "username": address.user or None,
            "password": address.password or None,
            "socket_timeout": ANSWER_SECONDS,
            "protocol": 2,
        }
        if address.scheme == "unix":
            return library.UnixDomainSocketConnection(path=address.path, **options)
        options |= {"host": address.host, "port": address.port, "socket_keepalive": True}
        options["socket_connect_timeout"] = CONNECT_SECONDS
        if address.scheme == "redis":
            return library.Connection(**options)
        return library.SSLConnection(ssl_ca_certs=address.ca_file or None, **options)

    def close(self) -> None:
        if self._pid == os.getpid():
            while self._idle:
                self._idle.pop().disconnect()

    # --- what the server is ----------------------------------------------

    def read_facts(self) -> dict[str, str]:
        """What the server says of itself: the rows of ``INFO``."""
        rows = (line.partition(":") for line in self.call("INFO").decode().splitlines())
        return {name: value for name, _, value in rows if value}

    def read_time_ns(self) -> int:
        """Nanoseconds since 1970 by the server's clock."""
        seconds, microseconds = map(int, self.call("TIME"))
        return seconds * 10**9 + microseconds * 1000

    def check_fit(self) -> None:
        """Raise an error unless the server can keep tables: new enough, a primary, no cluster."""
        facts = self.read_facts()
        version = facts.get("redis_version", "0")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST:
            raise UnsupportedFormatError(
                f"tables {self.address.text}: the server is Redis {version}; volfs needs 7.0 or "
                "newer, or Valkey"
            )
        if facts.get("redis_mode") == "cluster":
            raise say_refusal(self.address, "MOVED")
        if facts.get("role", "master") != "master":
            raise say_refusal(self.address, "READONLY")


def is_open(connection: Any) -> bool:
    return connection._sock is not None


def cut(connection: Any) -> None:
    """End what another thread does with a connection."""
    taken = connection._sock
    if taken is not None:
        try:
            taken.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It is closed already.


def _load_library() -> Any:
    try:
        import redis
        import redis.connection
        import redis.exceptions
    except ImportError:
        raise InvalidError(
            "VOLFS_TABLES: redis is not installed: pip install 'volfs[redis]'"
        ) from None
    return redis
