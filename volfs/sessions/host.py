"""Which processes of this machine have sessions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from volfs.sessions.facts import LOCK
from volfs.sessions.info import load_session
from volfs.system.namespaces import find_namespace


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


def is_of_other_mounts(path: Path) -> bool:
    """Whether the daemon that has it lives in another mount namespace than this process."""
    session = load_session(path)
    theirs = find_namespace(session.pid)
    return session.alive and theirs not in (None, find_namespace("self"))
