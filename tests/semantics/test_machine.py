"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

What the machine does to a store: full disks, clocks, file systems that cannot be written.
Every corner of these is in ``tests/fault``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.disks import MIB, fill, find_free, memory_disk
from tests.volume.shortcuts import noise, publish_files
from volfs.errors import OutOfSpaceError
from volfs.store.base import Store, VolumeRecord
from volfs.store.registry import open_store
from volfs.volume.volumes import create_volume

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path, 64 * MIB) as path:
        yield path


@pytest.fixture
def store(disk: Path) -> Iterator[Store]:
    store = open_store(str(disk / "store"), create=True)
    yield store
    store.close()


@pytest.fixture
def volume(store: Store) -> VolumeRecord:
    return create_volume(store, "data", chunk_bits=16)


# --- Commits -------------------------------------------------------------------


def test_a_failed_change_is_given_back(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """What a commit or any other change wrote into the store and could not publish is given
    back to the disk before the error is told."""
    fill(disk, 20 * MIB)
    free = find_free(disk)
    with pytest.raises(OutOfSpaceError):
        publish_files(store, volume, {"big": noise(30 * MIB)})
    assert find_free(disk) > free - MIB // 4


KILLED = """
import os, signal, sys
from volfs.model.objects import Kind
from volfs.store.registry import open_store
upload = open_store(sys.argv[1]).open_upload()
upload.put_object(Kind.CHUNK, os.urandom(30 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left(disk: Path, store: Store, volume: VolumeRecord) -> None:
    """What a process that was killed left there is given back when the next change finds the
    disk full, or by gc."""
    done = subprocess.run([sys.executable, "-c", KILLED, store.url], check=False)
    assert done.returncode == -signal.SIGKILL
    fill(disk, 4 * MIB)
    publish_files(store, volume, {"f": noise(15 * MIB)})
