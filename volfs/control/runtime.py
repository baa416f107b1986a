"""The runtime directory of the sockets. Only its owner can put anything there.

Whoever can put something into a directory, or another directory into its place, can answer in the
owner's name (docs/decisions/0026; the walk is in ``system/trusted_path.py``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from volfs.errors import MountError
from volfs.system.trusted_path import open_trusted

NAMED, XDG = "VOLFS_RUNTIME_DIR", "XDG_RUNTIME_DIR"
_ADVICE = f"set {NAMED} to a directory of your own that others cannot change"


def runtime_directory() -> Path:
    """The absolute path of this user's runtime directory, which may not exist yet.

    ``VOLFS_RUNTIME_DIR``, else /run/volfs for root. For other users ``volfs`` under
    ``XDG_RUNTIME_DIR`` or under /run/user/UID, if that is ours, else /tmp/volfs-UID.
    """
    named = os.environ.get(NAMED)
    return Path(os.path.abspath(named)) if named else _usual_directories(os.geteuid())[0]


def list_runtime_directories(owner: int) -> list[Path]:
    """Directories that may have the sockets of a user's mounts, the likeliest first.

    Root may ask the daemons of all users, and others only their own.
    """
    named = [runtime_directory()]
    if owner == os.geteuid():
        return list(dict.fromkeys(named + _usual_directories(owner)))
    return named + _usual_directories(owner) if os.geteuid() == 0 else []


def _usual_directories(user: int) -> list[Path]:
    """The usual directories. A new mount of this user puts its socket into the first."""
    if user == 0:
        return [Path("/run/volfs")]
    base = os.environ.get(XDG) if user == os.geteuid() else None
    found = [Path(os.path.abspath(base)) / "volfs"] if base else []
    if _is_directory_of(f"/run/user/{user}", user):
        found.append(Path(f"/run/user/{user}/volfs"))
    return [*found, Path(f"/tmp/volfs-{user}")]


def _is_directory_of(path: str, user: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == user


def make_runtime_directory() -> Path:
    """Make the runtime directory, private to its owner. MountError if others can change it."""
    path = runtime_directory()
    try:
        os.close(open_directory(path, {os.geteuid()}, create=True))
    except OSError as error:
        raise MountError(f"{path}: cannot be made: {error.strerror}; {_ADVICE}") from error
    return path


def open_directory(path: Path, owners: Collection[int], *, create: bool = False) -> int:
    """Open a directory of one of these users as an O_PATH descriptor.

    With ``create`` missing directories are made. MountError, which says what to do, if others than
    these users and root can change it. FileNotFoundError and other OSErrors.
    """

    def refuse(why: str) -> MountError:
        return MountError(f"{path} is not safe for sockets: {why}; or {_ADVICE}")

    return open_trusted(path, owners, refuse, create=create)
