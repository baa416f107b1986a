"""A Redis server on loopback, with a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from tests.harness.servers import die_with_parent, find_free_ports

PROGRAM = os.environ.get("VOLFS_TEST_REDIS") or "redis-server"
"""The server: ``valkey-server`` has the same options."""
MISSING = None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed"
_ATTEMPTS = 3
_turns = threading.Event()


def need_redis() -> None:
    """Skip the test where there is no server."""
    if MISSING:
        pytest.skip(MISSING)


class RedisServer:
    """A server. A test may kill it and start it again as often as it likes: the port stays."""

    def __init__(self, folder: Path, *options: str) -> None:
        need_redis()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(_ATTEMPTS):
            (self.port,) = find_free_ports(1)
            if self._begin():
                return
        raise RuntimeError(f"{PROGRAM} does not start: {self._read_log()}")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        assert self._begin(), self._read_log()

    def kill(self) -> None:
        """End the server as a power cut would, except that the kernel still writes what it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    close = kill

    def _begin(self) -> bool:
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *fixed, "--save", "", *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        while self._process.poll() is None:
            if self._answers():
                return True
            _turns.wait(0.01)
        return False

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=60) as client:
                # Another program's server may have our port, and then ours ends.
                return client.info("server")["process_id"] == self.pid
        except redis.exceptions.BusyLoadingError:
            return False
        except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):
            return True
        except redis.exceptions.ConnectionError:
            return False

    def _read_log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")[-2000:]
