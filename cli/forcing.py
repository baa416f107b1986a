"""umount --force: ending a mount, with or without its daemon."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

from volfs.model.names import MAIN
from volfs_cli.stores import environment, store_url
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.errors import VolfsError

TIMEOUT = 10.0
"""The seconds that the daemon has for it by default. It has as many again to obey a signal."""
STORE_ANSWERS = 3.0
_LOOK = 0.05


def find_mount(target: str) -> MountClient:
    """The mount that a command means, even if neither the daemon nor the store answers.
    MountError."""
    from volfs.control.mount_client import list_mounts
    from volfs.daemon.named_mounts import find_targets

    if "/" in target or target in (".", ".."):
        return _get_only(target, find_targets(target, "", MAIN))  # a path needs no store
    number = _look_up(target)
    if number is None:
        raise _explain_silence(target)
    return next(mount for mount in list_mounts() if mount.mount.number == number)


def _get_only(target: str, found: list[MountClient]) -> MountClient:
    from volfs.errors import MountError

    found = [mount for mount in found if not mount.mount.is_private] or found
    if len(found) > 1:
        places = ", ".join(mount.mount.path for mount in found)
        raise MountError(f"{target}: mounted more than once ({places}); name a mount point")
    return found[0]


def _look_up(name: str) -> int | None:
    """The kernel's number of the mount that a name means; None if the store does not answer.

    A child process asks, because a store whose disk hangs blocks the process that opens it.
    """
    from volfs.system.children import ask_child

    answer = ask_child(lambda: _answer(name), STORE_ANSWERS)
    return None if answer is None else _read_answer(answer)


def _answer(name: str) -> bytes:
    from volfs.control.protocol import to_failure
    from volfs.daemon.named_mounts import find_targets
    from volfs.errors import VolfsError
    from volfs.model.text_json import encode_json

    try:
        mount = _get_only(name, find_targets(name, store_url(), environment()))
    except VolfsError as error:
        return encode_json(to_failure(error))
    return b"%d" % mount.mount.number


def _read_answer(answer: bytes) -> int:
    from volfs.control.protocol import Failure, to_exception
    from volfs.model.text_json import decode_json

    if answer.isdigit():
        return int(answer)
    raise to_exception(decode_json(answer, Failure))


def _explain_silence(target: str) -> VolfsError:
    from volfs.errors import StoreTimeoutError

    return StoreTimeoutError(
        f"{target}: the store {store_url()} does not answer, so that its volumes cannot be told; "
        f"name the mount point, with a slash: ./{target}"
    )


def unmount_by_force(
    mount: MountClient, *, discard: bool, number: int, timeout: float | None
) -> None:
    """Ask the daemon to unmount, then send it a signal, then end the mount without it. What was
    not done is reported on stderr. MountError."""
    from volfs.errors import NoAnswerError, VolfsError

    try:
        patience = TIMEOUT if timeout is None else timeout
        mount.unmount(discard=discard, number=number, timeout=patience)
    except NoAnswerError as error:
        _end(mount, error)
    except VolfsError as error:
        _tell(mount, error)


def _tell(mount: MountClient, why: VolfsError) -> None:
    """Send the daemon a signal after it answered that it cannot unmount. The signal detaches a
    mount even if it is in use.

    No signal is sent if the target is a copy of the mount, because the daemon cannot unmount that.
    """
    from volfs.control.force import list_inside

    if mount.status().mountpoint != mount.mount.path:
        raise why
    inside = list_inside(mount.mount)
    if mount.pid is not None:
        os.kill(mount.pid, signal.SIGTERM)
    if _is_gone_within(mount, TIMEOUT):
        say(f"volfs: umount: {why}; detached all the same", err=True)
        _tell_inside(inside)
    else:
        _end(mount, why)


def _is_gone_within(mount: MountClient, seconds: float) -> bool:
    from volfs.control.force import find_again

    end = time.monotonic() + seconds
    while find_again(mount.mount) is not None:
        if time.monotonic() > end:
            return False
        select.select([], [], [], _LOOK)
    return True


def _end(mount: MountClient, why: VolfsError) -> None:
    from volfs.control.force import end_by_force, list_inside
    from volfs.sessions.host import find_overlay_of

    overlay = find_overlay_of(mount.pid) if mount.pid is not None else None
    inside = list_inside(mount.mount)
    end_by_force(mount.mount, mount.pid)
    left = f" in the overlay {overlay.name}" if overlay else ""
    say(
        f"volfs: umount: {why}. Ended by force: what was fsynced and not committed stays{left}; "
        "see `volfs overlays`",
        err=True,
    )
    _tell_inside(inside)


def _tell_inside(paths: list[str]) -> None:
    """Report the mounts inside the mount, which went with it."""
    for path in paths:
        say(
            f"volfs: umount: {path}: was mounted inside, and is not mounted there any more",
            err=True,
        )
