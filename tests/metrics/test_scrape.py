"""Scrapes of real mounts: alive, stopped and dead."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.harness.mounted import ROOT, Mounts

pytestmark = pytest.mark.fuse
SLOWEST = 60.0


def run(mounts: Mounts, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from volfs_cli.main import main; main()", *args]
    packages = mounts.directory / "packages"
    packages.mkdir(exist_ok=True)
    if not (packages / "volfs_cli").exists():
        (packages / "volfs_cli").symlink_to(ROOT / "cli")
    environment = {
        **mounts.environment,
        "VOLFS_STORE": mounts.address,
        "PYTHONPATH": f"{ROOT}:{packages}",
    }
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def serving(mounts: Mounts) -> Iterator[str]:
    server = run(mounts, "metrics", "serve", "--port", "0")
    assert server.stdout is not None
    try:
        said = server.stdout.readline()
        yield urlsplit(said.split(" at ")[1]).netloc
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(SLOWEST) == 130
        server.stdout.close()


def get(place: str, path: str = "/metrics", host: str = "") -> tuple[int, str]:
    connection = HTTPConnection(place, timeout=SLOWEST)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def find(text: str, name: str, *labels: str) -> list[float]:
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return [float(line.split()[-1]) for line in lines if all(label in line for label in labels)]


def test_a_scrape_shows_what_lives_and_never_waits_for_what_hangs(mounts: Mounts) -> None:
    mounts.create("other")
    good, bad, gone = mounts.mount(), mounts.mount(volume="other"), mounts.mount(volume="other")
    (good.path / "f").write_bytes(b"x" * 100_000)
    good.commit()
    (good.path / "g").write_bytes(b"y" * 5000)
    gone.kill()
    os.kill(bad.pid, signal.SIGSTOP)
    try:
        with serving(mounts) as place:
            status, text = get(place)
            assert status == 200
            assert find(text, "volfs_mount_up", str(good.path)) == [1]
            assert find(text, "volfs_mount_up", str(bad.path)) == [0]
            assert find(text, "volfs_mount_up", str(gone.path)) == [0]
            assert find(text, "volfs_commit_duration_seconds_count", str(good.path)) == [1]
            assert find(text, "volfs_mount_dirty_bytes", str(good.path)) == [5000]
            assert find(text, "volfs_written_bytes_total", str(good.path)) == [105_000]
            assert find(text, "volfs_request_duration_seconds_count", '"create"') == [2]
            assert not find(text, "volfs_mount_version", str(bad.path))
            size = find(get(place)[1], "volfs_store_size_bytes")
            assert len(size) == 1
            assert size[0] > 100
            assert get(place, host="evil.example")[0] == 403
            assert get(place, "/")[0] == 404
    finally:
        os.kill(bad.pid, signal.SIGCONT)


def test_top_shows_each_mount(mounts: Mounts) -> None:
    mounted = mounts.mount()
    top = run(mounts, "top", "--json", "--interval", "0.1")
    out, _ = top.communicate(timeout=SLOWEST)
    (row,) = [row for row in json.loads(out) if row["mountpoint"] == str(mounted.path)]
    assert (row["volume"], row["state"], row["version"]) == ("data", "ok", 0)
    lines = run(mounts, "top", "--once", "--interval", "0.1").communicate(timeout=SLOWEST)[0]
    assert re.search(rf"^data\t{mounted.path}\t", lines, re.MULTILINE)


def test_gc_is_in_the_metrics(mounts: Mounts) -> None:
    mounts.create("v")
    mounts.close_store()
    gc = run(mounts, "gc")
    gc.communicate(timeout=SLOWEST)
    assert gc.returncode == 0
    out = run(mounts, "metrics", "print").communicate(timeout=SLOWEST)[0]
    assert find(out, "volfs_gc_last_run_timestamp_seconds")[0] > 1e9
    assert find(out, "volfs_store_volumes") == [2]
