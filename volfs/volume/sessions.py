"""The sessions of a store, as anybody may see them: one directory for each mount's life.

``<store>/mounts/<session>/`` holds ``session.json`` and ``lock``, on which the
living daemon holds an exclusive flock; the kernel lets go of it whatever the
daemon dies of. ``device`` says which mount it serves, by the number that the kernel
has given it. Written by ``daemon/session.py``, only read here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest

from volfs.errors import NotFoundError
from volfs.model.text_json import decode_json, encode_json
from volfs.store.base import Store

SESSIONS, FACTS, LOCK, DEVICE = "mounts", "session.json", "lock", "device"
CATALOG, SCRATCH = "catalog", "scratch"
REMOVED = ".removed"
"""Ends the name of a directory that is being deleted."""


class Session(NamedTuple):
    """One mount's life. A dead one is an overlay that was left behind."""

    name: str
    path: Path
    volume_id: str
    volume: str
    mountpoint: str
    pid: int
    base_version: int
    created_ns: int
    read_only: bool
    sub_path: str
    alive: bool
    device: tuple[int, int] | None = None
    """The mount's, major and minor; None before it is mounted, and of older daemons."""


class SessionFacts(msgspec.Struct):
    """``session.json``. Unreadable ones count as an overlay of an unknown volume."""

    volume_id: str = ""
    volume: str = ""
    mountpoint: str = ""
    pid: int = 0
    base_version: int = 0
    created_ns: int = 0
    read_only: bool = False
    sub_path: str = ""
    checksum: str = ""
    """xxh3-64 of the file as it is with an empty one."""


def encode_facts(facts: SessionFacts) -> bytes:
    plain = encode_json(msgspec.structs.replace(facts, checksum=""))
    sealed = msgspec.structs.replace(facts, checksum=xxh3_64_hexdigest(plain))
    return encode_json(sealed)


def decode_facts(data: bytes) -> SessionFacts:
    """ValueError for anything but what ``encode_facts`` makes."""
    facts = decode_json(data, SessionFacts)
    if encode_facts(facts) != data:
        raise ValueError("checksum")
    return facts


def sessions_directory(store: Store) -> Path:
    """Where a store's sessions are, unless its mounts were told another place."""
    return Path(store.url) / SESSIONS


def session_name(store: Store, path: Path) -> str:
    """What a session is called in its lease: its directory, which ``find_session_path`` finds."""
    outside = path.parent != sessions_directory(store)
    return str(path) if outside else path.name


def find_session_path(store: Store, name: str) -> Path:
    """The directory of a session that is called so; it may be gone."""
    return sessions_directory(store) / name


def list_sessions(directory: Path) -> list[Session]:
    """The sessions below a directory, oldest first; none where it is not there."""
    try:
        places = [p for p in directory.iterdir() if p.suffix != REMOVED and p.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(map(load_session, places), key=lambda session: (session.created_ns, session.name))


def list_inner_sessions(store: Store) -> list[Session]:
    """Those in the store's own directory."""
    return list_sessions(sessions_directory(store))


def list_store_sessions(store: Store) -> list[Session]:
    """The sessions of a store, with those elsewhere that have a lease; named as in the lease."""
    found = list_inner_sessions(store)
    for lease in store.list_leases():
        path = find_session_path(store, lease.session)
        if path.parent != sessions_directory(store) and path.is_dir():
            device = find_device(path, Path(store.url))
            found.append(load_session(path)._replace(name=lease.session, device=device))
    return found


def get_session(store: Store, name: str) -> Session:
    """NotFoundError, also for a directory that is no session's."""
    # Of those elsewhere leases tell, one of which may be damaged.
    for find in (list_inner_sessions, list_store_sessions):
        for session in find(store):
            if session.name == name:
                return session
    raise NotFoundError(f"no overlay {name}; `volfs overlays` lists them")


def load_session(path: Path) -> Session:
    """A session's facts, as far as its directory says them."""
    try:
        facts = decode_facts((path / FACTS).read_bytes())
    except (OSError, ValueError):
        facts = SessionFacts()
    return Session(
        path.name,
        path,
        facts.volume_id,
        facts.volume,
        facts.mountpoint,
        facts.pid,
        facts.base_version,
        facts.created_ns,
        facts.read_only,
        facts.sub_path,
        is_locked(path / LOCK),
        find_device(path),
    )


def find_overlay_of(pid: int) -> Path | None:
    """The directory of the session that a process has, without asking the disk that it is on.

    None where the process has none, or we may not look.
    """
    with suppress(OSError):
        for descriptor in Path("/proc").glob(f"{pid:d}/task/*/fd/*"):
            with suppress(FileNotFoundError):  # closed just now
                file = descriptor.readlink()
                if file.name == LOCK and file.is_absolute():
                    return file.parent
    return None


def find_device(path: Path, store: Path | None = None) -> tuple[int, int] | None:
    """What ``device`` says, unless it is a copy: of this directory, or of this store's.

    Of a dead session the number may be another mount's by now.
    """
    try:
        device, directory, of_store = (path / DEVICE).read_text().split()
        if directory != identify(path) or (store and of_store != identify(store)):
            return None
        major, minor = device.split(":")
        return int(major), int(minor)
    except (OSError, ValueError):
        return None


def encode_device(device: tuple[int, int], path: Path, store: Path) -> str:
    major, minor = device
    return f"{major}:{minor} {identify(path)} {identify(store)}"


def identify(path: Path) -> str:
    """Which file or directory this is, whatever leads to it. OSError."""
    status = path.stat()
    return f"{status.st_dev}:{status.st_ino}"


def identify_session(path: Path) -> str:
    """What a daemon says of its session: a copy's directory is another, or its lock is. OSError."""
    return f"{identify(path)} {identify(path / LOCK)}"


@contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Whether nobody had the file's exclusive lock; then it is held for the block."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_locked(path: Path) -> bool:
    """Whether a process holds the file's exclusive lock. Asks without taking it for long."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
