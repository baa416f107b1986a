"""``volfs serve`` as a process, and what it leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounted import wait_until
from volfs.control.mounts import list_mount_points

_URL = re.compile(r"^(\S+) (http://\S+)$", re.MULTILINE)


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as line:
        port: int = line.getsockname()[1]
    return port


class Serving:
    """A running ``volfs serve`` in a directory of its own."""

    def __init__(self, place: Path, *arguments: str, **variables: str) -> None:
        self.place = place
        self.environment = {
            **os.environ,
            "VOLFS_STORE": str(place / "store"),
            "VOLFS_RUNTIME_DIR": str(place / "run"),
            "VOLFS_STATE_DIR": str(place / "state"),
            **variables,
        }
        self.out, self.log = place / "out", place / "log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "volfs_cli.main", "serve", *arguments],
                env=self.environment,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )

    def find_urls(self) -> dict[str, str]:
        """The newest address of each endpoint."""
        return dict(_URL.findall(self.out.read_text()))

    def wait_for(self, *names: str) -> dict[str, str]:
        wait_until(
            lambda: self.find_urls().keys() >= set(names) or self.process.poll() is not None,
            "the addresses",
            deadline=60,
        )
        urls = self.find_urls()
        assert urls.keys() >= set(names), self.log.read_text()
        return urls

    def end(self, sig: int = signal.SIGINT) -> int:
        """Its exit status; nothing of it is left."""
        self.process.send_signal(sig)
        status = self.process.wait(60)
        self.check_nothing_is_left()
        return status

    def check_nothing_is_left(self) -> None:
        prefix = f"{self.place}/"
        wait_until(
            lambda: not [m for m in list_mount_points() if m.path.startswith(prefix)],
            "everything to be unmounted",
            deadline=60,
        )
        wait_until(lambda: not self.list_processes(), "all processes to end", deadline=60)

    def list_processes(self) -> list[int]:
        """Those that have its runtime directory in their environment."""
        mark = f"VOLFS_RUNTIME_DIR={self.place / 'run'}\0".encode()
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if mark in _read_environment(p)]


def _read_environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Starts servings, and ends what a failed test has left."""
    started: list[Serving] = []

    def run(*arguments: str, **variables: str) -> Serving:
        started.append(Serving(tmp_path, *arguments, **variables))
        return started[-1]

    yield run
    for serving in started:
        if serving.process.poll() is None:
            serving.end(signal.SIGTERM)
