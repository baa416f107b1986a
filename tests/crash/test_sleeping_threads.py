"""The store's disk is frozen: a thread that touches the store sleeps, and no other does.

Neither one that waits for the interpreter, nor one that has to map memory.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_frozen_disks import KINDS
from tests.harness.disk import Disk, mounted_disk
from tests.harness.mounted import ROOT

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and freeze a disk"),
]

PREPARE = """
import os, sys, threading, time
from pathlib import Path
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.embedded.tables.signals import Signals
from volfs.vfs.catalog import Catalog, Flush

place = Path(sys.argv[1])
for name in ("index", "other"):
    (place / name).mkdir()
index = LmdbEnvironment(place / "index")
table = index.open_table(b"table")
LmdbEnvironment(place / "other").close()
signals = Signals(place / "signals")
signal = signals.get(b"name")
catalog = Catalog(place / "catalog")

def change(transaction):
    transaction.put(b"key", os.urandom(8), db=table)

def record():
    flush = Flush([(b"key", b"row")], [], [], set(), set(), set(), [], b"stamp")
    catalog.write(flush, [])

def write():
    with index.write() as transaction:
        change(transaction)

def read():
    with index.read() as transaction:
        transaction.get(b"key", db=table)

record()
write()
read()
signal.wake()
"""
ASLEEP, AWAKE = b"one sleeps\n", b"another does not\n"
ACT = """
print("ready", flush=True)
sys.stdin.readline()
thread = threading.Thread(target=lambda: {act}, daemon=True)
thread.start()
stat = Path(f"/proc/self/task/{{thread.native_id}}/stat")
while stat.read_text().rpartition(") ")[2][0] != "D":
    time.sleep(0.01)
print("one sleeps", flush=True)
threading.Thread(target=print, args=("another does not",), kwargs=dict(flush=True)).start()
sys.stdin.readline()
thread.join()
"""
ACTS = {
    "look up": "index.run(lambda txn: txn.get(b'key', db=table), write=False)",
    "change": "index.run(change, write=True)",
    "read": "read()",
    "write": "write()",
    "open": "LmdbEnvironment(place / 'other')",
    "record": "record()",
    "wake": "signal.wake()",
    "wait": "signal.wait(signal.ticket(), 0.5)",
}
PATIENCE = 20.0
"""Seconds until a process that says nothing is one that stands still."""


@pytest.fixture(params=KINDS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    with mounted_disk(tmp_path, request.param) as disk:
        yield disk


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_one_sleeps_alone(disk: Disk, act: str) -> None:
    argv = [sys.executable, "-c", PREPARE + ACT.format(act=act), str(disk.path)]
    pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment, bufsize=0) as child:
        try:
            assert read_line(child) == b"ready\n"
            disk.freeze()
            tell(child)
            assert [read_line(child), read_line(child)] == [ASLEEP, AWAKE]
        finally:
            disk.thaw()
            tell(child)
            child.communicate(timeout=PATIENCE)
    assert child.returncode == 0


def tell(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")


def read_line(child: subprocess.Popen[bytes]) -> bytes:
    """What it says next; nothing where it is too slow."""
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        return child.stdout.readline() if selector.select(PATIENCE) else b""
