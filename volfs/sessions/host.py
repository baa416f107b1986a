"""Which processes of this machine have sessions."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from volfs.sessions.facts import LOCK
from volfs.sessions.info import load_session


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
    try:
        theirs, ours = (Path(f"/proc/{pid}/ns/mnt").stat() for pid in (session.pid, "self"))
    except OSError:
        return False
    return session.alive and not os.path.samestat(theirs, ours)
