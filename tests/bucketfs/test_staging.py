"""The directory of what is written, while others look whether it is worth keeping."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from volfs.bucketfs.names import Facts
from volfs.bucketfs.staged import StagedPiece, load_staged
from volfs.bucketfs.staging import (
    BUCKETS,
    FACTS,
    LOCK,
    SPARE,
    Staging,
    StagingFacts,
    iter_stems,
    remove_staging,
)
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


def test_files_of_what_is_uploaded_are_used_again(tmp_path: Path) -> None:
    staging = Staging(tmp_path, "bucket", StagingFacts("memory"))
    place = tmp_path / BUCKETS / staging.name
    for number in range(5):
        staged = staging.create(f"key-{number}", Facts(9, 1, '"e"') if number % 2 else None)
        assert staged.find_pieces(0, 9) == ([StagedPiece(False, 0, 9)] if number % 2 else [])
        staged.write(number, b"x" * 3)
        assert load_staged(staged.stem).about.key == f"key-{number}"
        assert staged.read(0, number + 3) == bytes(number) + b"xxx"
        staging.remove(staged)
        assert list(iter_stems(place)) == []  # An empty journal stands for nothing.
    assert len(list(place.glob("*.data"))) == 1
    left = staging.create("left", None)
    left.write(0, b"left")
    many = [staging.create(f"many-{number}", None) for number in range(SPARE + 2)]
    for staged in many:
        staging.remove(staged)
    assert len(list(place.glob("*.data"))) == SPARE + 1
    staging.leave(left)
    assert staging.finish()
    assert not place.exists()
    (stem,) = iter_stems(tmp_path / BUCKETS / staging.left_name)
    assert load_staged(stem).read(0, 4) == b"left"


def test_the_lock_of_a_directory_goes_last(tmp_path: Path) -> None:
    """Without its lock a directory belongs to the next mount, which writes its facts into it."""
    place = tmp_path / "place"
    (place / "kept").mkdir(parents=True)
    for name in (LOCK, FACTS, "1.data", "1.journal"):
        (place / name).touch()
    remove_staging(place)
    assert sorted(path.name for path in place.iterdir()) == ["kept", LOCK]
    (place / "kept").rmdir()
    remove_staging(place)
    assert not place.exists()
