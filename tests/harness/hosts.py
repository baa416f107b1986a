"""Hosts of one machine: network namespaces on a bridge, each with directories and a clock of its
own.

What a host runs is in its network namespace, and in this process's mount namespace: so a test sees
the mounts of all hosts. A host is cut off by the kernel, as if somebody pulled its cable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

VOLFS = Path(sys.executable).with_name("volfs")
ROOT = Path(__file__).resolve().parents[2]
CLOCK = Path(__file__).with_name("host_clock.c")
YEAR = 365 * 86_400


class Network:
    """A bridge, of which this process has the first address."""

    def __init__(self) -> None:
        number = os.getpid() % 60_000
        self.name = f"vb{number}"
        self.prefix = f"10.{200 + number % 50}.{number // 50 % 250}"
        self.hosts: list[Host] = []
        _ip("link", "add", self.name, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    @property
    def address(self) -> str:
        return f"{self.prefix}.1"

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        _ip("link", "del", self.name, check=False)


class Host:
    """One host. ``error`` is by how many seconds its clock is wrong."""

    def __init__(self, network: Network, directory: Path, error: int = 0) -> None:
        number = len(network.hosts) + 2
        self.directory = directory
        self.is_cut = False
        self._name = f"{network.name}h{number}"
        network.hosts.append(self)
        _ip("netns", "add", self._name)
        peer = ("peer", "name", "eth0", "netns", self._name)
        _ip("link", "add", self._cable, "type", "veth", *peer)
        _ip("link", "set", self._cable, "master", network.name, "up")
        _ip("-n", self._name, "addr", "add", f"{network.prefix}.{number}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self._name, "link", "set", device, "up")
        for name in ("state", "cache", "run", "mnt"):
            (directory / name).mkdir(parents=True, mode=0o700)
        self._variables = make_clock(error, directory)

    @property
    def _cable(self) -> str:
        return f"{self._name}c"

    def cut(self) -> None:
        """Nothing arrives any more, in either direction, and nobody is told."""
        self.is_cut = True
        _ip("link", "set", self._cable, "down")

    def join(self) -> None:
        self.is_cut = False
        _ip("link", "set", self._cable, "up")

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            "VOLFS_STATE_DIR": str(self.directory / "state"),
            "VOLFS_CACHE_DIR": str(self.directory / "cache"),
            "VOLFS_RUNTIME_DIR": str(self.directory / "run"),
        }
        return os.environ | self._variables | own | dict(more)

    def begin(self, command: list[str], more: Mapping[str, str]) -> subprocess.Popen[str]:
        """Begin a command on this host."""
        inside = ["nsenter", f"--net=/run/netns/{self._name}", "--", *command]
        return subprocess.Popen(
            inside,
            env=self.variables(more),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def volfs(self, *arguments: str, more: Mapping[str, str]) -> str:
        """What the command printed. AssertionError with its errors if it failed."""
        process = self.begin([str(VOLFS), *arguments], more)
        said, errors = process.communicate()
        assert process.returncode == 0, f"volfs {' '.join(arguments)}: {errors}"
        return said

    def close(self) -> None:
        _ip("link", "del", self._cable, check=False)
        _ip("netns", "del", self._name, check=False)


@contextmanager
def network() -> Iterator[Network]:
    """A bridge for a block. The test is skipped where there can be none."""
    try:
        made = Network()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces: {error}")
    try:
        yield made
    finally:
        made.close()


def make_clock(error: int, directory: Path) -> dict[str, str]:
    """What a process has in its environment so that its wall clock is wrong by some seconds."""
    library = directory / "host_clock.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not error or compiler is None:
        return {}
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(CLOCK), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return {"LD_PRELOAD": str(library), "HOST_CLOCK_ERROR": str(error)}


def _ip(*arguments: str, check: bool = True) -> None:
    program = shutil.which("ip") or "ip"
    subprocess.run([program, *arguments], check=check, capture_output=True)
