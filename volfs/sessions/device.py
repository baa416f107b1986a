"""Which mount a session has, and which directory: both by the kernel's numbers."""

from __future__ import annotations

from pathlib import Path

from volfs.sessions.facts import DEVICE, LOCK


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
