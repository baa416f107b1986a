"""A session: one mount's life, and its directory with lock, catalog and scratch.

The directory is named after the volume and the mount point, so the next mount
of that volume at that place finds what a dead daemon left, and takes it over.
``volfs/volume/sessions.py`` reads these directories for everybody else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import IO

import msgspec

from volfs.errors import MountError
from volfs.store.base import VolumeRecord
from volfs.volume.sessions import FACTS, LOCK, SessionFacts

CATALOG, SCRATCH = "catalog", "scratch"


class Session:
    """A session directory that this process holds the lock of."""

    def __init__(self, path: Path, lock: IO[bytes], *, is_new: bool) -> None:
        self.path = path
        self.is_new = is_new
        self._lock = lock

    @property
    def catalog(self) -> Path:
        return self.path / CATALOG

    @property
    def scratch(self) -> Path:
        return self.path / SCRATCH

    def write_facts(self, facts: SessionFacts) -> None:
        """Replace ``session.json`` whole."""
        temporary = self.path / f"{FACTS}.new"
        temporary.write_bytes(msgspec.json.encode(facts))
        temporary.rename(self.path / FACTS)

    def close(self) -> None:
        """Let go of the directory; it stays, with the overlay in it."""
        self._lock.close()

    def remove(self) -> None:
        """Delete the directory: everything in it has been committed or discarded.

        The lock goes last, so a directory that was only half deleted is taken
        for what it is by the next mount: one with nothing recorded.
        """
        shutil.rmtree(self.catalog, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()


def session_path(directory: Path, volume: VolumeRecord, mountpoint: str, shows: str) -> Path:
    """``shows`` says which part of the volume; an overlay lies on that and on nothing else."""
    facts = f"{volume.id}\0{mountpoint}\0{shows}"
    place = hashlib.sha256(facts.encode("utf-8", "surrogateescape"))
    return directory / f"{volume.name}-{place.hexdigest()[:12]}"


def open_session(directory: Path, volume: VolumeRecord, mountpoint: str, shows: str) -> Session:
    """Take the session of a mount, new or left behind. MountError if a living one has it."""
    path = session_path(directory, volume, mountpoint, shows)
    is_new = not path.exists()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path / SCRATCH).mkdir(mode=0o700, exist_ok=True)
    lock = (path / LOCK).open("ab", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise MountError(f"{volume.name} is already mounted at {mountpoint}") from None
    return Session(path, lock, is_new=is_new)


def make_facts(
    volume: VolumeRecord, mountpoint: str, version: int, *, read_only: bool
) -> SessionFacts:
    return SessionFacts(
        volume.id, volume.name, mountpoint, os.getpid(), version, time.time_ns(), read_only
    )
