"""What has become of a mount's daemon: whether it lives, also where its socket is not to be had.

Nothing here waits without a limit: a mount that hangs is asked by a child of ours, which
may wait for it as long as it likes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from volfs.control.mount_client import MountClient
from volfs.control.mounts import MountPoint
from volfs.control.protocol import MountStatus
from volfs.errors import VolfsError
from volfs.system.proc import STOPPED, find_state

PATIENCE = 2.0
"""Seconds for a mount to answer the kernel."""
START, GRACE = 20.0, 0.2
"""Seconds for the child that asks it to come so far, and to end."""


class State(Enum):
    """Of a mount's daemon, as far as this process can tell."""

    ALIVE = "alive"
    STOPPED = "stopped"
    """By a signal, or a debugger."""
    SILENT = "not answering"
    UNREACHABLE = "unreachable"
    """It serves the mount, but there is no socket of it where this process may look."""
    OTHERS = "another user's"
    """Whose daemon this process may not ask, and about which the kernel says nothing."""
    DEAD = "dead"


class Liveness(NamedTuple):
    """What there is to say about a mount."""

    state: State
    pid: int | None = None
    status: MountStatus | None = None
    """If it is alive."""


def look_at(client: MountClient) -> Liveness:
    """Ask a mount's daemon how it is, or else the kernel."""
    pid = client.find_daemon()
    if pid is None:
        return Liveness(_probe(client.mount))
    if is_stopped(pid):
        return Liveness(State.STOPPED, pid)
    try:
        return Liveness(State.ALIVE, pid or None, client.status())
    except VolfsError:
        return Liveness(_explain_silence(client.mount, pid), pid or None)


def _explain_silence(mount: MountPoint, pid: int) -> State:
    """It took the call, and then there was no answer."""
    if is_stopped(pid):
        return State.STOPPED
    return State.DEAD if is_dead(mount) else State.SILENT


def is_stopped(pid: int) -> bool:
    return find_state(pid) in STOPPED


def is_dead(mount: MountPoint) -> bool:
    """Whether a mount has no daemon any more. One that answers with an error has."""
    return _ask_kernel(mount) == _DEAD


# --- the kernel --------------------------------------------------------------

_BEGUN, _DEAD = b"b", b"d"
_PROGRAM = """
import errno, os, sys
path, number, user, group = os.fsencode(sys.argv[1]), *map(int, sys.argv[2:])
def say(what):
    os.write(1, what)
try:
    place = os.open(path, os.O_PATH)
    facts = open(f"/proc/self/fdinfo/{place}").read().split()
    if int(facts[facts.index("mnt_id:") + 1]) != number:
        sys.exit()  # another one lies over it
    if os.geteuid() == 0 < user:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    say(b"b")
    os.statvfs(place)
    say(b"a")
except OSError as error:
    say(b"d" if error.errno in (errno.ENOTCONN, errno.ECONNABORTED) else b"a")
"""
"""Root becomes the mount's user: FUSE lets nobody else in, not even root."""


def _probe(mount: MountPoint) -> State:
    """Of a mount whose daemon cannot be asked."""
    said = _ask_kernel(mount)
    if said == _DEAD:
        return State.DEAD
    ours = mount.user == os.geteuid()
    if not ours and os.geteuid() != 0 and not mount.lets_others_in:
        return State.OTHERS  # to others the kernel says that all is well
    if said == _BEGUN:
        return State.SILENT
    return State.UNREACHABLE if ours or os.geteuid() == 0 else State.OTHERS


def _ask_kernel(mount: MountPoint) -> bytes:
    """What statvfs says, which the kernel passes on to the daemon; ``_BEGUN`` if that hangs."""
    numbers = map(str, (mount.number, mount.user, mount.group))
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, mount.path, *numbers]
    null = subprocess.DEVNULL
    child = subprocess.Popen(
        command, stdin=null, stdout=subprocess.PIPE, stderr=null, start_new_session=True
    )
    assert child.stdout is not None
    with child.stdout as pipe:
        said = _read_within(pipe.fileno(), START)
        if said == _BEGUN:
            said = _read_within(pipe.fileno(), PATIENCE) or said
    child.kill()
    with suppress(subprocess.TimeoutExpired):  # not even that ends it if the daemon has its call
        child.wait(GRACE)
    return said


def _read_within(pipe: int, seconds: float) -> bytes:
    """One byte; none if it takes too long, or there is no more."""
    return os.read(pipe, 1) if select.select([pipe], [], [], seconds)[0] else b""
