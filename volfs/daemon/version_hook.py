"""The command that a following mount runs after each new version that it shows.

One command runs at a time. Versions that come while it runs are one when it has ended: the command
then runs once, for the newest. A command that fails is logged, and ends nothing.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

import trio

from volfs.daemon.task_guard import surviving
from volfs.model.text import show_line
from volfs.vfs.committer import Committer

SHELL = "/bin/sh"
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""For a daemon that was started without a PATH."""
LOOK, LOOK_FAR = 1.0, 5.0
"""Seconds between two looks for a new version. The second number is for a store in a bucket, where
each look is a request."""
SAID_MAX = 4096
"""The log has so many of the last bytes that a failed command has said."""

log = logging.getLogger(__name__)


class VersionHook(NamedTuple):
    """The command of one mount, and where that is."""

    command: str
    mountpoint: str

    async def run_always(self, committer: Committer) -> NoReturn:
        """Follow the head, and run the command for each version that is shown after this one."""
        told = committer.state.view.head.version
        while True:
            is_near = committer.store.refs.find_head_ready(committer.volume.id) is not None
            await trio.sleep(LOOK if is_near else LOOK_FAR)
            with surviving("following the head"):
                await committer.follow()
            version = committer.state.view.head.version
            if version != told:
                told = version
                with surviving("hook"):
                    await self._run(committer.volume.full_name, version)

    async def _run(self, volume: str, version: int) -> None:
        status, said = await _wait(*self._start(volume, version))
        if status == 0:
            log.info("version %d: the hook has ended", version)
            return
        last = show_line(said.decode(errors="replace").strip())
        log.warning("version %d: the hook ended with status %d: %s", version, status, last)

    def _start(self, volume: str, version: int) -> tuple[int, int]:
        """Start the command. Returns its process, and where what it says can be read."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        environment = {"PATH": PATHS} | os.environ | self._describe(volume, version)
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, writer, number) for number in (1, 2)),
        ]
        try:
            # The daemon blocks signals in this thread, and ignores some: the command does not.
            child = os.posix_spawn(
                SHELL,
                [SHELL, "-c", self.command],
                environment,
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP},
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return child, reader

    def _describe(self, volume: str, version: int) -> dict[str, str]:
        return {
            "VOLFS_VOLUME": volume,
            "VOLFS_VERSION": str(version),
            "VOLFS_MOUNTPOINT": self.mountpoint,
        }


async def _wait(child: int, reader: int) -> tuple[int, bytes]:
    """The exit status of a command, and the last of what it said. A command is ended when nobody
    waits for it any more."""
    said = bytearray()
    pidfd = os.pidfd_open(child)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, reader, said)
            await trio.lowlevel.wait_readable(pidfd)
            nursery.cancel_scope.cancel()
        # What it said right before its end may not have been read.
        with suppress(BlockingIOError):
            said += os.read(reader, SAID_MAX)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGTERM)
        raise
    finally:
        os.close(pidfd)
        os.close(reader)
        status = _reap(child)
    return status, bytes(said[-SAID_MAX:])


def _reap(child: int) -> int:
    """The exit status of a process that has ended; -1 of one that was told to end."""
    ended, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else -1


async def _read(reader: int, said: bytearray) -> None:
    while True:
        await trio.lowlevel.wait_readable(reader)
        with suppress(BlockingIOError):
            data = os.read(reader, SAID_MAX)
            if not data:
                return
            said += data
            del said[:-SAID_MAX]
