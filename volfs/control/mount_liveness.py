"""Whether the daemon of a mount lives, even if its socket cannot be reached.

Nothing here waits without a limit. A child of ours asks a mount that may hang, and may wait for it
for ever.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
LOOKS_AT_ONCE = 16
START, GRACE = 20.0, 0.2
"""Seconds for the asking child to start, and to end."""


class State(Enum):
    """The state of a mount's daemon, as far as this process can tell."""

    ALIVE = "alive"
    STOPPED = "stopped"
    """A signal or a debugger has stopped it."""
    SILENT = "not answering"
    UNREACHABLE = "unreachable"
    """It serves the mount, but this process may look at no socket of it."""
    OTHERS = "another user's"
    """This process may not ask the daemon, and the kernel says nothing about it."""
    DEAD = "dead"


class Liveness(NamedTuple):
    """What is known of a mount's daemon."""

    state: State
    pid: int | None = None
    status: MountStatus | None = None
    """The daemon's status, if it is alive."""


def look_at(client: MountClient) -> Liveness:
    """Ask the daemon of a mount how it is, or else the kernel."""
    pid = client.find_daemon()
    if pid is None:
        return Liveness(_probe(client.mount))
    if is_stopped(pid):
        return Liveness(State.STOPPED, pid)
    try:
        return Liveness(State.ALIVE, pid or None, client.status())
    except VolfsError:
        return Liveness(_explain_silence(client.mount, pid), pid or None)


def look_at_all(mounts: Sequence[MountClient]) -> Iterator[Liveness]:
    """Look at all mounts at the same time, so that one that hangs does not keep the others
    waiting. The answers come in the order of the mounts."""
    with ThreadPoolExecutor(max(1, min(len(mounts), LOOKS_AT_ONCE))) as pool:
        yield from pool.map(look_at, mounts)


def _explain_silence(mount: MountPoint, pid: int) -> State:
    """The state of a daemon that accepted the call and did not answer."""
    if is_stopped(pid):
        return State.STOPPED
    return State.DEAD if is_dead(mount) else State.SILENT


def is_stopped(pid: int) -> bool:
    return find_state(pid) in STOPPED


def is_dead(mount: MountPoint) -> bool:
    """Whether a mount has no daemon any more. A daemon that answers with an error is alive."""
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
"""Root becomes the mount's user, because FUSE lets nobody else in, not even root."""


def _probe(mount: MountPoint) -> State:
    """The state of a mount whose daemon cannot be asked."""
    said = _ask_kernel(mount)
    if said == _DEAD:
        return State.DEAD
    ours = mount.user == os.geteuid()
    if not ours and os.geteuid() != 0 and not mount.lets_others_in:
        return State.OTHERS  # The kernel tells other users that all is well.
    if said == _BEGUN:
        return State.SILENT
    return State.UNREACHABLE if ours or os.geteuid() == 0 else State.OTHERS


def _ask_kernel(mount: MountPoint) -> bytes:
    """The result of statvfs, which the kernel asks the daemon for; ``_BEGUN`` if that hangs."""
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
    with suppress(
        subprocess.TimeoutExpired
    ):  # Not even SIGKILL ends the child while the daemon has its call.
        child.wait(GRACE)
    return said


def _read_within(pipe: int, seconds: float) -> bytes:
    """One byte from the pipe; nothing if it takes too long, or if there is no more."""
    return os.read(pipe, 1) if select.select([pipe], [], [], seconds)[0] else b""
