"""Servers of buckets on loopback, each a process of its own with a folder of its own.

``SeaweedServer`` is what most tests ask; ``MotoServer`` begins sooner and checks less;
``AzuriteServer`` is Azure's emulator. A server is killed when it is closed, and by the kernel
when the process that began it dies. It has nothing that anybody wants to keep.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from volfs.system.libc import libc

ROOT = Path(__file__).resolve().parents[2]
AZURITE = (
    ROOT / ".venv" / "servers" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
UP_SECONDS = 180.0
ATTEMPTS = 3
_PR_SET_PDEATHSIG = 1
_turns = threading.Event()


def find_free_ports(count: int) -> list[int]:
    """Ports that nobody had a moment ago."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


class Server:
    """A process that answers HTTP. It may find its ports taken, and is then begun again."""

    def __init__(self, folder: Path, name: str, ports: int) -> None:
        self.folder = folder
        self._name = name
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self._command_line: list[str] = []
        self.endpoint = ""

    def start(self, command: Callable[[list[int]], list[str]], health: str = "/") -> None:
        for _ in range(ATTEMPTS):
            ports = find_free_ports(self._ports)
            self.endpoint = f"http://127.0.0.1:{ports[0]}"
            self._command_line = command(ports)
            self._process = self._begin(self._command_line)
            if self._is_up(self.endpoint + health):
                return
            self.close()
        raise RuntimeError(f"{self._name} does not start: {self._read_log()}")

    def start_again(self, health: str = "/") -> None:
        """Begin the server once more after ``close``, at the same ports and with what it had."""
        assert self._process is None
        self._process = self._begin(self._command_line)
        if not self._is_up(self.endpoint + health):
            raise RuntimeError(f"{self._name} does not start again: {self._read_log()}")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._clear()

    def _clear(self) -> None:
        """Remove what the server has left outside of its folder: nothing, most servers."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _begin(self, command: list[str]) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_plain_environment(),
                preexec_fn=die_with_parent,
            )

    def _is_up(self, url: str) -> bool:
        end = time.monotonic() + UP_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                return False
            if _answers(url):
                return True
            _turns.wait(0.05)
        return False

    def _read_log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")[-2000:]


class SeaweedServer(Server):
    """S3 by SeaweedFS: it checks signatures and rights, and knows conditions and parts."""

    access_key, secret_key = "AKSEAWEED", "seaweed-secret-key"
    reader_key, reader_secret = "AKREADER", "reader-secret-key"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "SeaweedFS", 8)
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "s3.json"
        self._config.write_text(json.dumps({"identities": self._identities()}))
        self.start(self._command, "/healthz")

    def _identities(self) -> list[dict[str, object]]:
        def identity(name: str, access: str, secret: str, *actions: str) -> dict[str, object]:
            keys = [{"accessKey": access, "secretKey": secret}]
            return {"name": name, "credentials": keys, "actions": list(actions)}

        return [
            identity("owner", self.access_key, self.secret_key, "Admin", "Read", "Write", "List"),
            identity("reader", self.reader_key, self.reader_secret, "Read", "List"),
        ]

    def _command(self, ports: list[int]) -> list[str]:
        s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = ports
        return [
            str(Path(sys.executable).parent / "weed"),
            f"-logdir={self.folder}",
            "server",
            f"-dir={self.folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            f"-s3.config={self._config}",
            f"-s3.port={s3}",
            f"-s3.port.grpc={s3_grpc}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            f"-master.port={master}",
            f"-master.port.grpc={master_grpc}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}",
            "-volume.max=500",
            f"-filer.port={filer}",
            f"-filer.port.grpc={filer_grpc}",
        ]

    def _clear(self) -> None:
        """Its sockets are in /tmp wherever its folder is, and have the numbers of its ports."""
        ports = {part.rpartition("=")[2] for part in self._command_line if "port" in part}
        for path in Path("/tmp").glob("seaweedfs-*.sock"):
            if path.stem.rpartition("-")[2] in ports:
                path.unlink(missing_ok=True)


class MotoServer(Server):
    """AWS in miniature: quick to begin, and it checks no signature."""

    access_key, secret_key = "AKMOTO", "moto-secret-key"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "moto", 1)
        program = str(Path(sys.executable).parent / "moto_server")
        self.start(lambda ports: [program, "-H", "127.0.0.1", "-p", str(ports[0])], "/moto-api/")


class AzuriteServer(Server):
    """Azure Blob Storage by Microsoft's emulator. The account and its key are known to all."""

    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "Azurite", 1)
        self.start(self._command)

    def _command(self, ports: list[int]) -> list[str]:
        host = ["--blobHost", "127.0.0.1", "--blobPort", str(ports[0])]
        quiet = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        return ["node", str(AZURITE), "--location", str(self.folder), *host, *quiet]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def die_with_parent() -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _plain_environment() -> dict[str, str]:
    """Without what a server of another test, or a user, has set for AWS or a proxy."""
    dropped = ("AWS_", "S3_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "WEED_")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
