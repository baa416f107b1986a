"""Calls to a running mount, which is found by its mount point. Blocking."""

from __future__ import annotations

import os
import socket
from typing import TypeVar

from volfs.control.daemon_wait import DaemonWait
from volfs.control.exchange import connect_patiently, exchange, wait_for_hanging_up
from volfs.control.mounts import (
    FS_TYPE,
    MountPoint,
    find_meant,
    list_volfs_mounts,
    resolve_mount_path,
)
from volfs.control.protocol import (
    ChangesResult,
    CommitResult,
    MountStatus,
    ReloadResult,
    RenewResult,
    Request,
    UnmountResult,
    decode_result,
    to_exception,
)
from volfs.control.sockets import connect, find_peer
from volfs.errors import MountError, NoAnswerError, NotFoundError

STATUS_TIMEOUT = 10.0
_AFTER = {
    "commit": "; it may be published all the same: `volfs log` shows it",
    "reload": "; it may be done all the same: `volfs status` shows the version",
    "unmount": "; it may end all the same; `volfs umount --force` ends it in any case",
}
"""What a message says of a call without an answer: the call cannot be taken back."""
T = TypeVar("T")


class MountClient:
    """One running mount. MountError if no daemon answers."""

    def __init__(self, mount: MountPoint) -> None:
        self.mount = mount
        self.pid: int | None = None
        """The daemon's process, once it has accepted a call."""

    def is_alive(self) -> bool:
        """Whether a daemon accepts our calls. It may still not answer them."""
        return self.find_daemon() is not None

    def find_daemon(self) -> int | None:
        """The process that accepts our calls. 0 if nobody can tell which; None if there is
        none."""
        try:
            with self._connect(STATUS_TIMEOUT) as connection:
                return find_peer(connection).pid
        except (TimeoutError, BlockingIOError):
            return 0  # A full queue of calls means that a daemon listens.
        except (OSError, MountError):
            return None

    def status(self, timeout: float = STATUS_TIMEOUT) -> MountStatus:
        return self._call(Request("status"), MountStatus, timeout)

    def status_in_time(self, timeout: float) -> MountStatus:
        """As ``status``, but nobody waits longer than this: a store that does not answer is left
        out. MountError; NoAnswerError."""
        return self._call(Request("status", wait=timeout / 6), MountStatus, timeout)

    def list_changes(self, timeout: float | None = None) -> ChangesResult:
        """What is not committed. MountError."""
        return self._call(Request("changes"), ChangesResult, timeout)

    def commit(
        self, message: str = "", on_conflict: str = "override", timeout: float | None = None
    ) -> CommitResult:
        """Publish the mount's changes. Returns when they are durable."""
        request = Request("commit", message=message, on_conflict=on_conflict)
        return self._call(request, CommitResult, timeout)

    def commit_changes(self) -> CommitResult:
        """As ``commit``, but do nothing if nothing has changed."""
        return self._call(Request("commit", auto=True), CommitResult, None)

    def reload(
        self, wait: float = 0.0, timeout: float | None = None, *, touch: bool = False
    ) -> ReloadResult:
        """Show the newest version. VolumeBusyError if files are still open after ``wait`` seconds.

        With ``touch`` the files that arrive get the present as their time.
        """
        return self._call(Request("reload", wait=wait, touch=touch), ReloadResult, timeout)

    def renew(self) -> None:
        """Let the daemon put its lease again. MountError, also if that takes too long."""
        self._call(Request("renew"), RenewResult, STATUS_TIMEOUT)

    def unmount(
        self,
        *,
        discard: bool = False,
        at_end: str = "",
        number: int = 0,
        timeout: float | None = None,
    ) -> UnmountResult:
        """Commit (or drop) what is left, then unmount. Returns when the daemon is gone.

        ``number`` is that of a mount point. MountError if the daemon has another one.
        """
        request = Request("unmount", at_end="discard" if discard else at_end, number=number)
        return self._call(request, UnmountResult, timeout)

    def _call(self, request: Request, kind: type[T], timeout: float | None) -> T:
        """Call the daemon. MountError; NoAnswerError if there is no answer."""
        waiting = DaemonWait(
            self.mount.path, timeout, patience=request.wait, then=_AFTER.get(request.verb, "")
        )
        try:
            with connect_patiently(self._connect, waiting) as connection:
                self.pid = waiting.pid
                answer = exchange(connection, request, waiting)
                if answer.error is None and request.verb == "unmount":
                    wait_for_hanging_up(connection, waiting)
        except OSError as error:
            raise NoAnswerError(
                f"{self.mount.path}: its daemon does not answer: {error}"
            ) from error
        if answer.error is not None:
            raise to_exception(answer.error)
        return decode_result(answer, kind)

    def _connect(self, timeout: float | None) -> socket.socket:
        """Connect. OSError; MountError if no daemon is there that could be believed."""
        problems: list[OSError | MountError] = []
        for path in self.mount.sockets:
            try:
                return connect(path, {self.mount.user}, timeout)
            except (OSError, MountError) as error:
                problems.append(error)
        raise self._choose(problems)

    def _choose(self, problems: list[OSError | MountError]) -> OSError | MountError:
        """The error that says what stands in the way, rather than one that says that nothing is
        there."""
        if not problems:
            return MountError(f"{self.mount.path}: belongs to another user ({self.mount.user})")
        found = [problem for problem in problems if not isinstance(problem, FileNotFoundError)]
        if not found:
            places = " or ".join(str(path.parent) for path in self.mount.sockets)
            return FileNotFoundError(
                f"no socket of it in {places}; it has died, or was mounted with another "
                "VOLFS_RUNTIME_DIR or XDG_RUNTIME_DIR"
            )
        return next((problem for problem in found if isinstance(problem, MountError)), found[0])


def get_mount(mountpoint: str, what: str = "volume") -> MountClient:
    """The mount that a path means. NotFoundError; MountError if it is not a mount of volfs.

    ``what`` should be mounted there, for the message. This opens no store, so it works whatever
    has happened to the mount's own store.
    """
    found = find_meant(mountpoint)
    if found is None:
        place = resolve_mount_path(mountpoint)
        why = "" if os.path.lexists(place) else ", and there is no such directory"
        raise NotFoundError(f"{place}: no {what} is mounted there{why}")
    if found.fs_type != FS_TYPE:
        raise MountError(f"{mountpoint}: mounted, but not by volfs")
    return MountClient(found)


def list_mounts() -> list[MountClient]:
    """Every mount of volfs in this mount namespace, alive or dead."""
    return [MountClient(mount) for mount in list_volfs_mounts()]
