"""The directory with everything that one mount has written and not uploaded.

It is made at the first write, and its lock is held as long as the mount lives. What an upload
leaves behind is moved to a directory of its own, whose lock nobody holds. It can be uploaded or
discarded by name, like what a dead daemon left.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from volfs.bucketfs.names import Facts
from volfs.bucketfs.staged import (
    DATA,
    JOURNAL,
    About,
    Staged,
    StagedPair,
    begin_staged,
    create_pair,
    keeping,
)
from volfs.errors import LocalFileError
from volfs.system.files import replace_file
from volfs.system.locks import leads_to, try_lock
from volfs.system.trusted_path import open_trusted

SPARE = 64
"""The most staged files that are kept, empty, for the next ones."""
BUCKETS, FACTS, LOCK = "buckets", "bucket.json", "lock"


class StagingFacts(msgspec.Struct):
    """The bucket and the mount point. There are no secrets in it."""

    address: str
    mountpoint: str = ""
    pid: int = 0
    created_ns: int = 0
    profile: str | None = None
    role_arn: str | None = None
    unsigned: bool = False
    requester_pays: bool = False


class Staging:
    """``parent`` is the directory that has such directories; None if no place is safe."""

    def __init__(self, parent: Path | None, name: str, facts: StagingFacts) -> None:
        self._parent = parent
        self._facts = facts
        self.name = f"{name}-{secrets.token_hex(4)}"
        self._path: Path | None = None
        self._lock = -1
        self._last = 0
        self._spare: list[StagedPair] = []
        self.left_name = ""
        """The name of the newest directory of this mount."""
        self.left = 0
        """The number of files that were left since the mount began."""

    def check(self) -> None:
        """Raise LocalFileError if nothing may be written here."""
        if self._parent is not None:
            with keeping():
                find_place(self._parent)

    def create(self, key: str, base: Facts | None) -> Staged:
        """Stage a file that is about to be written. OutOfSpaceError, LocalFileError."""
        if self._path is None:
            self._path, self._lock = self._make_first(self.name)
        pair = self._spare.pop() if self._spare else self._create_pair(self._path)
        return begin_staged(pair, key, base)

    def _create_pair(self, path: Path) -> StagedPair:
        self._last += 1
        return create_pair(path / f"{self._last}")

    def remove(self, staged: Staged) -> None:
        """Remove a staged file. The bucket has the bytes, or nobody wants them.

        Its two files are kept for the next one: creating files takes longer than all else that
        staging does, the more so the more files were deleted a moment ago.
        """
        if len(self._spare) >= SPARE:
            staged.remove()
        elif (pair := staged.empty()) is not None:
            self._spare.append(pair)

    def leave(self, staged: Staged) -> None:
        """Keep what could not be uploaded, so that it can be asked for by name."""
        path, lock = self._make_left()
        self.left_name = path.name
        try:
            stem = path / f"{self._last}-{secrets.token_hex(2)}"
            with keeping():
                for suffix in (DATA, JOURNAL):
                    staged.stem.with_suffix(suffix).rename(stem.with_suffix(suffix))
        finally:
            os.close(lock)
        staged.close()
        self.left += 1

    def finish(self) -> bool:
        """End. Whether something of the mount stays."""
        if self._path is None:
            return self._has_left()
        while self._spare:
            Staged(*self._spare.pop(), About("")).remove()
        stays = any(self._path.glob(f"*{JOURNAL}"))
        if not stays:
            remove_staging(self._path)
        os.close(self._lock)
        self._path = None
        return stays or self._has_left()

    def _has_left(self) -> bool:
        """Whether files that uploads left are still there, and were not uploaded by name since."""
        parent = self._parent
        return (
            parent is not None and bool(self.left) and (parent / BUCKETS / self.left_name).exists()
        )

    def _make_left(self) -> tuple[Path, int]:
        """The directory for what is left. A new one is made while somebody works on the former
        one."""
        return self._make_first(f"{self.name}.left")

    def _make_first(self, name: str) -> tuple[Path, int]:
        """The first directory of this name, or of the name with a number, that nobody else has.

        Others may have even a new one for a moment: they look whether it is worth keeping.
        """
        names = (f"{name}{number or ''}" for number in count())
        return next(filter(None, map(self._make, names)))

    def _make(self, name: str) -> tuple[Path, int] | None:
        """The directory with its lock taken. None if somebody else has the lock, or has removed
        the directory meanwhile."""
        if self._parent is None:
            raise LocalFileError("no home directory, and no VOLFS_STATE_DIR: nowhere to write to")
        with keeping():
            path = find_place(self._parent, create=True) / name
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _take_lock(path / LOCK)
            if lock is None:
                return None
            if not (path / FACTS).exists():
                facts = msgspec.json.encode(self._facts)
                replace_file(path / FACTS, facts, beside=f"{FACTS}.new", durable=False)
        return path, lock


def find_place(state: Path, *, create: bool = False) -> Path:
    """The directory of all that is not uploaded, below the state directory; it may be missing.

    Whoever can change it decides what is uploaded, and under which keys. LocalFileError if others
    can. OSError.
    """
    path = Path(os.path.abspath(state)) / BUCKETS

    def refuse(why: str) -> LocalFileError:
        return LocalFileError(
            f"{path} is not safe for what is written to buckets: {why}; or set VOLFS_STATE_DIR to "
            "a directory of your own that others cannot change"
        )

    try:
        os.close(open_trusted(path, {os.geteuid()}, refuse, create=create))
    except FileNotFoundError:
        if create:
            raise
    return path


def _take_lock(path: Path) -> int | None:
    """Make a lock file and take its lock. None if somebody else has it, or has removed the file or
    its directory."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    if try_lock(lock) and leads_to(path, lock):
        return lock
    os.close(lock)
    return None


def iter_stems(path: Path) -> Iterator[Path]:
    """The staged files of a directory, the oldest first."""
    for _, journal in list_journals(path):
        yield journal.with_suffix("")


def list_journals(path: Path) -> list[tuple[int, Path]]:
    """The journals of a directory with their times, oldest first. A living mount may remove some
    meanwhile."""
    found = list[tuple[int, Path]]()
    for journal in path.glob(f"*{JOURNAL}"):
        with contextlib.suppress(FileNotFoundError):
            facts = journal.stat()
            if facts.st_size:  # An empty one is kept for the next file.
                found.append((facts.st_mtime_ns, journal))
    return sorted(found)


def remove_staging(path: Path) -> None:
    """Delete a directory and everything in it. If something cannot be deleted, the lock stays.

    The lock is deleted last. As soon as it is gone, another mount can make the directory anew and
    take a new lock, and what that mount writes must not be deleted.
    """
    gone = [_try_unlink(place) for place in list(path.iterdir()) if place.name != LOCK]
    if all(gone) and _try_unlink(path / LOCK):
        with contextlib.suppress(OSError):
            path.rmdir()


def _try_unlink(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
