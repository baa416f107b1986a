"""Hosts with wrong clocks commit to one volume, through a bad network, and are cut off and killed.

The history stays linear, and nothing that was acknowledged is lost. The long form has eight hosts
with eight mounts each (``VOLFS_HOSTS``), for three minutes (``VOLFS_HOSTS_SECONDS``).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.fault_proxy import Fault, FaultProxy
from tests.harness.hosts import VOLFS, YEAR, Host, Network, network
from tests.harness.servers import SeaweedServer
from tests.hosts.committer import make_content
from tests.volume.shortcuts import read_file
from volfs.store.registry import open_store

pytestmark = pytest.mark.fuse
VOLUME = "data"
_turns = threading.Event()


class OpenServer(SeaweedServer):
    """Without signatures: a service refuses those of a clock that is wrong by more than 15
    minutes."""

    def _command(self, ports: list[int]) -> list[str]:
        return [part for part in super()._command(ports) if "s3.config" not in part]


class Committed:
    """One mount of one host, and the program that commits through it."""

    def __init__(self, fleet: Fleet, host: Host, name: str, count: int) -> None:
        self.fleet, self.host, self.name = fleet, host, name
        self.path = host.directory / "mnt" / name
        self.path.mkdir()
        self.journal = host.directory / f"{name}.journal"
        self.process: subprocess.Popen[str] | None = None
        self.mount()
        self._count = count

    def begin(self) -> None:
        program = [sys.executable, "-m", "tests.hosts.committer"]
        arguments = [str(self.path), self.name, str(self._count), str(self.journal)]
        self.process = self.host.begin([*program, *arguments], self.fleet.variables)

    def mount(self) -> None:
        self.host.volfs("mount", VOLUME, str(self.path), more=self.fleet.variables)

    def list_done(self) -> list[int]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [int(line) for line in lines if not line.startswith("#")]

    def kill(self) -> None:
        """End the daemon as a machine that loses power does, and mount again."""
        said = self.host.volfs("status", str(self.path), "--json", more=self.fleet.variables)
        os.kill(json.loads(said)[0]["pid"], signal.SIGKILL)
        self.mount()

    def stop(self) -> None:
        self.journal.with_suffix(".stop").touch()

    def is_busy(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def finish(self) -> None:
        assert self.process is not None
        _, errors = self.process.communicate()
        assert self.process.returncode == 0, errors

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        arguments = ["umount", "--force", str(self.path)]
        self.host.begin(
            ["timeout", "60", str(VOLFS), *arguments], self.fleet.variables
        ).communicate()
        subprocess.run(["umount", "-l", "-i", str(self.path)], capture_output=True, check=False)


class Fleet:
    """A server, a proxy before it, and hosts with mounts."""

    def __init__(self, lan: Network, place: Path, seed: int) -> None:
        self.lan, self.place = lan, place
        self.chance = random.Random(f"fleet {seed}")
        self.server = OpenServer(place / "server")
        self.proxy = FaultProxy(self.server.endpoint, seed, lan.address)
        self.bucket = create_s3_bucket(self.server)
        self.variables = secret_of(self.server) | {"VOLFS_STORE": self.url(self.proxy.endpoint)}
        self.mounts: list[Committed] = []

    def url(self, endpoint: str) -> str:
        return f"s3://{self.bucket}/store?endpoint={endpoint}&region=us-east-1"

    def add_hosts(self, hosts: int, mounts: int, count: int) -> None:
        first = Host(self.lan, self.place / "first")
        first.volfs("store", "create", self.variables["VOLFS_STORE"], more=self.variables)
        first.volfs("create", VOLUME, more=self.variables)
        for number in range(hosts):
            error = (0, YEAR, -YEAR)[number % 3]
            host = Host(self.lan, self.place / f"host-{number}", error)
            for each in range(mounts):
                self.mounts.append(Committed(self, host, f"h{number}m{each}", count))
        for mount in self.mounts:
            mount.begin()

    def spoil(self) -> None:
        """A network that loses, repeats and refuses some of everything."""
        for fault in (Fault.DROP, Fault.LOSE, Fault.RESET, Fault.TWICE, Fault.CUT):
            self.proxy.add(fault, chance=0.004, key="/store/")
        self.proxy.add(Fault.LATE, method="PUT", chance=0.004, seconds=3.0, key="/store/")
        for status in (503, 500, 409):
            self.proxy.add(Fault.STATUS, status=status, chance=0.004, key="/store/")

    def count_done(self) -> int:
        return sum(len(mount.list_done()) for mount in self.mounts)

    def wait_for(self, more: int) -> None:
        """Until so many more commits were acknowledged, or there is nobody who could commit."""
        until = self.count_done() + more
        while self.count_done() < until and self._is_busy():
            _turns.wait(0.05)

    def _is_busy(self) -> bool:
        return any(m.is_busy() and not m.host.is_cut for m in self.mounts)

    def show(self) -> str:
        return "\n".join(f"{m.name}:\n{m.journal.read_text()[-1500:]}" for m in self.mounts)

    def close(self) -> None:
        for host in self.lan.hosts:
            host.join()
        for mount in self.mounts:
            mount.close()
        self.proxy.close()
        self.server.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with network() as lan:
        fleet = Fleet(lan, tmp_path, int(os.environ.get("VOLFS_SEED", "1")))
        try:
            yield fleet
        finally:
            fleet.close()


def judge(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> int:
    """As a machine that has nothing: one history, and all that was acknowledged. The newest
    version."""
    for name, value in secret_of(fleet.server).items():
        monkeypatch.setenv(name, value)
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"VOLFS_{name}_DIR", str(fleet.place / f"judge-{name}"))
    with ExitStack() as stack:
        store = open_store(fleet.url(fleet.server.endpoint))
        stack.callback(store.close)
        volume = store.refs.get_volume(VOLUME)
        versions = [head.version for head in store.refs.iter_versions(volume.id)]
        assert versions == list(range(versions[0], -1, -1)), "the history has gaps"
        for mount in fleet.mounts:
            for number in mount.list_done():
                found = read_file(store, volume, f"{mount.name}-{number:05}")
                assert found == make_content(mount.name, number), f"{mount.name} {number}"
        return versions[0]


def test_two_hosts(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is cut off while the other goes on; a daemon is killed; the proxy disturbs."""
    fleet.add_hosts(2, 2, 6)
    fleet.spoil()
    fleet.wait_for(4)
    fleet.mounts[3].host.cut()
    fleet.wait_for(2)
    fleet.mounts[3].host.join()
    fleet.mounts[0].kill()
    for mount in fleet.mounts:
        mount.finish()
    assert fleet.count_done() == 24
    assert judge(fleet, monkeypatch) >= 12


@pytest.mark.slow
def test_eight_hosts(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = float(os.environ.get("VOLFS_HOSTS_SECONDS", "180"))
    number = int(os.environ.get("VOLFS_HOSTS", "8"))
    fleet.add_hosts(number, number, 1 << 30)
    fleet.spoil()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        victim = fleet.chance.choice(fleet.mounts)
        if fleet.chance.random() < 0.5:
            victim.kill()
            continue
        victim.host.cut()
        fleet.wait_for(10)
        victim.host.join()
    for mount in fleet.mounts:
        mount.stop()
    for mount in fleet.mounts:
        mount.finish()
    head = judge(fleet, monkeypatch)
    print(f"{fleet.count_done()} commits acknowledged, {head} versions")
