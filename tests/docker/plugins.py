"""A plugin in a process of its own, and Docker's requests to it."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command
from tests.harness.servers import die_with_parent

BEGINNING = 60.0
"""Seconds in which a plugin must begin, on a busy machine."""


class Plugin:
    """``volfs docker serve`` for the store of a ``Command``. It may be killed and started again."""

    def __init__(self, volfs: Command, path: Path, *options: str) -> None:
        self.volfs = volfs
        self.path = path
        self.options = options
        self.log = volfs.directory / f"{path.stem}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def name(self) -> str:
        return self.path.stem

    def start(self) -> None:
        command = [*self.volfs.argv, "docker", "serve", "--socket", str(self.path), *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.volfs.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        assert self.process.stdout is not None
        select.select([self.process.stdout], [], [], BEGINNING)
        said = self.process.stdout.readline()
        assert b"Serving" in said, self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        status = self.process.wait(BEGINNING)
        self.process.stdout.close()
        return status

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """The answer to a request of Docker, which has no error."""
        answer = self.send(f"/VolumeDriver.{verb}", json.dumps(fields).encode())
        assert not answer["Err"], answer
        return answer

    def refuse(self, verb: str, **fields: Any) -> str:
        """The error to a request of Docker."""
        error = self.send(f"/VolumeDriver.{verb}", json.dumps(fields).encode())["Err"]
        assert error.startswith("volfs: ")
        assert "\n" not in error
        return str(error)

    def send(self, path: str, body: bytes, method: str = "POST") -> dict[str, Any]:
        connection = _Connection(self.path)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert (response.status == http.client.OK) == (not answer.get("Err")), answer
            assert isinstance(answer, dict)
            return answer
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("plugin", timeout=BEGINNING)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def make_command(directory: Path) -> Command:
    """The command line with a store, a runtime directory and notes of its own."""
    volfs = Command(directory)
    volfs.environment["VOLFS_STATE_DIR"] = str(directory / "state")
    return volfs
