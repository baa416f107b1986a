"""The runtime directory, where sockets are: only its owner can put anything there.

Who can put something into a directory, or another directory into its place, can answer
for its owner (docs/decisions/0026; the walk there is ``system/trusted_path.py``).
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
    """Where this user's sockets are, and what containers need: absolute; it may not be there.

    ``VOLFS_RUNTIME_DIR``; of root /run/volfs; else ``volfs`` under ``XDG_RUNTIME_DIR`` or
    under /run/user/UID, if that is ours; else /tmp/volfs-UID.
    """
    named = os.environ.get(NAMED)
    return Path(os.path.abspath(named)) if named else _usual_directories(os.geteuid())[0]


def list_runtime_directories(owner: int) -> list[Path]:
    """Where sockets of a user's mounts may be, as far as this process may ask; likeliest first.

    Root may ask whom it likes, and others only themselves.
    """
    named = [runtime_directory()]
    if owner == os.geteuid():
        return list(dict.fromkeys(named + _usual_directories(owner)))
    return named + _usual_directories(owner) if os.geteuid() == 0 else []


def _usual_directories(user: int) -> list[Path]:
    """The first is where a new mount of this user's puts its socket."""
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
    """The runtime directory, private to its owner. MountError if others can change it."""
    path = runtime_directory()
    try:
        os.close(open_directory(path, {os.geteuid()}, create=True))
    except OSError as error:
        raise MountError(f"{path}: cannot be made: {error.strerror}; {_ADVICE}") from error
    return path


def open_directory(path: Path, owners: Collection[int], *, create: bool = False) -> int:
    """A descriptor (O_PATH) of a directory of one of these users, which only they and root change.

    With ``create`` what is missing is made. FileNotFoundError and other OSErrors; MountError
    for what others can change, which says what to do.
    """

    def refuse(why: str) -> MountError:
        return MountError(f"{path} is not safe for sockets: {why}; or {_ADVICE}")

    return open_trusted(path, owners, refuse, create=create)
