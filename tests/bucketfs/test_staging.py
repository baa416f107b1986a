"""The directory of what is written, while others look whether it is worth keeping."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from volfs.bucketfs.staged import load_staged
from volfs.bucketfs.staging import BUCKETS, LOCK, Staging, StagingFacts, iter_stems
from volfs.daemon.buckets.leftovers import clear_ended, find_left


def test_a_directory_that_somebody_looks_at_is_left_to_them(tmp_path: Path) -> None:
    staging = Staging(tmp_path, "bucket", StagingFacts("memory"))
    taken = tmp_path / BUCKETS / staging.name
    taken.mkdir(parents=True)
    looker = os.open(taken / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looker, fcntl.LOCK_EX)
    staged = staging.create("key", None)
    assert staged.stem.parent != taken
    staged.write(0, b"kept")
    staging.leave(staged)
    os.close(looker)
    (left,) = (tmp_path / BUCKETS).glob("*.left")
    (stem,) = iter_stems(left)
    found = load_staged(stem)
    assert found.read(0, 4) == b"kept"
    found.close()
    staging.finish()


def test_mounts_begin_while_others_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new mount's directory is never taken away from it, and never kept from it."""
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path))
    over = threading.Event()

    def clear() -> None:
        while not over.is_set():
            clear_ended()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for number in range(200):
            staging = Staging(tmp_path, "bucket", StagingFacts("memory"))
            staged = staging.create("key", None)
            staged.write(0, b"%d" % number)
            assert load_staged(staged.stem).about.key == "key"
            if number % 2:
                staging.leave(staged)
                assert staging.finish()
                left = find_left(staging.left_name)
                assert left is not None
                assert left.files == 1
            else:
                staged.remove()
                assert not staging.finish()
    finally:
        over.set()
        thread.join()
    assert len(list((tmp_path / BUCKETS).iterdir())) == 100
