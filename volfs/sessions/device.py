"""The device number of a session's mount, and the identity of the session's directory."""

from __future__ import annotations

from pathlib import Path

from volfs.sessions.facts import DEVICE, LOCK


def find_device(path: Path, store: Path | None = None) -> tuple[int, int] | None:
    """The device number that a session noted; None if the note is a copy, or is not there.

    It is a copy if it names another directory than this one, or another store than ``store``. The
    number of a dead session may be another mount's by now.
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
    """The identity of a file or directory, whatever path leads to it. OSError."""
    status = path.stat()
    return f"{status.st_dev}:{status.st_ino}"


def identify_session(path: Path) -> str:
    """The identity of a session, which differs for a copy of its directory or of its lock.
    OSError."""
    return f"{identify(path)} {identify(path / LOCK)}"
