"""The processes of this machine that have sessions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from volfs.sessions.facts import LOCK
from volfs.sessions.info import load_session
from volfs.system.namespaces import find_namespace


def find_overlay_of(pid: int) -> Path | None:
    """The directory of the session that a process has, found without asking the disk that it is
    on.

    None if the process has no session, or if we may not look.
    """
    with suppress(OSError):
        for descriptor in Path("/proc").glob(f"{pid:d}/task/*/fd/*"):
            with suppress(FileNotFoundError):  # The descriptor was closed just now.
                file = descriptor.readlink()
                if file.name == LOCK and file.is_absolute():
                    return file.parent
    return None


def is_of_other_mounts(path: Path) -> bool:
    """Whether the daemon of a session lives in another mount namespace than this process."""
    session = load_session(path)
    theirs = find_namespace(session.pid)
    return session.alive and theirs not in (None, find_namespace("self"))
