"""A cluster that moves a slot away in mid-call, played by a small server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from io import BufferedRWPair

import pytest

from volfs.errors import StoreError, StoreUncertainError
from volfs.store.redis.address import parse_address
from volfs.store.redis.table_server import Script, TableServer

SCRIPT = Script("return 1", adds=True)


class MovingServer:
    """Answers scripts with what a test says, and all else with OK."""

    def __init__(self) -> None:
        self.answer = b""
        self.scripts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._answer_all(stream)

    def _answer_all(self, stream: BufferedRWPair) -> None:
        while line := stream.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(stream.readline()[1:])
                words.append(stream.read(size + 2)[:-2])
            is_script = words[0] == b"EVALSHA"
            self.scripts += is_script
            stream.write(self.answer if is_script else b"+OK\r\n")
            stream.flush()


@pytest.fixture
def moving() -> Iterator[MovingServer]:
    server = MovingServer()
    yield server
    server.close()


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
def test_a_slot_that_moves_in_mid_call(moving: MovingServer, word: str) -> None:
    """A redirect says that nothing was done: one clear error, no second try."""
    tables = TableServer(parse_address(f"redis://127.0.0.1:{moving.port}/0"))
    try:
        moving.answer = b":1\r\n"
        assert tables.run(SCRIPT, ["k"], []) == 1
        moving.answer = f"-{word} 3999 127.0.0.1:6381\r\n".encode()
        with pytest.raises(StoreError, match="this is a node of a cluster") as caught:
            tables.run(SCRIPT, ["k"], [])
        assert not isinstance(caught.value, StoreUncertainError)
        assert moving.scripts == 2, "it was not sent again"
        moving.answer = b":2\r\n"
        assert tables.run(SCRIPT, ["k"], []) == 2, "the connection is as good as before"
    finally:
        tables.close()
