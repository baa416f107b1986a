"""A command in a container: bwrap, and signals for the command itself.

bwrap's own processes stand between us and the command. They block the signals
that are meant for it, and GNU env in front of the command unblocks them, so a
Ctrl-C of the terminal, which goes to all of them, ends none but the command.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from volfs.containers.guarding import Guard
from volfs.containers.members import Members
from volfs.errors import InvalidError, MountError

PASSED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""The signals that a container's command gets from us."""


class _Status(msgspec.Struct, rename="kebab"):
    """What bwrap says first on its status descriptor."""

    child_pid: int = 0


class ContainerCommand(subprocess.Popen[Any]):
    """A command in a container. Signals reach the command; ``kill`` ends all its processes.

    ``returncode`` is the command's exit status, 128 + n where signal n ended it.
    """

    def __init__(
        self,
        layout: Sequence[str],
        argv: Sequence[str | bytes | os.PathLike[str]],
        guard: Guard | None = None,
        **options: Any,
    ) -> None:
        """``guard`` kills its processes where this one is killed."""
        self._guard = guard
        if "=" in os.fsdecode(argv[0]):
            raise InvalidError(f"{os.fsdecode(argv[0])}: a command in a container cannot have an =")
        reader, status = os.pipe()
        waiting, go = os.pipe()
        arguments = _write_arguments(layout)
        try:
            given = {"--args": arguments, "--json-status-fd": status, "--block-fd": waiting}
            options["pass_fds"] = (*options.get("pass_fds", ()), *given.values())
            flags = [text for flag in given.items() for text in map(str, flag)]
            super().__init__([find_bwrap(), *flags, "--", *_unblocking(), *argv], **options)
        except BaseException:
            os.close(reader)
            os.close(go)
            raise
        finally:
            for descriptor in (arguments, status, waiting):
                os.close(descriptor)
        self._find_command(reader)
        os.close(go)

    def _find_command(self, status: int) -> None:
        """The command's process, and with it its namespace, while it waits for us."""
        file = os.fdopen(status, "rb")
        _close_with(self, file.close)  # bwrap has more to say, and dies if nobody listens
        said = file.readline()  # nothing if bwrap has ended
        self._command = msgspec.json.decode(said or b"{}", type=_Status).child_pid
        self._members: Members | None = None
        if self._command:
            with contextlib.suppress(FileNotFoundError):
                self._members = Members(self._command)
                _close_with(self, self._members.close)
                if self._guard is not None:
                    self._guard.add(self._members)

    def send_signal(self, sig: int) -> None:
        """Send it to the command; SIGKILL ends everything, also what the command left behind."""
        if sig == signal.SIGKILL:
            super().send_signal(sig)
            if self._members is not None:
                self._members.kill()
                if self._guard is not None:
                    self._guard.remove(self._members)
        elif self._command and self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._command, sig)


def _close_with(process: ContainerCommand, close: Callable[[], None]) -> None:
    """Not at the interpreter's exit: containers that are open then still have to be ended."""
    weakref.finalize(process, close).atexit = False


def find_bwrap() -> str:
    """By the PATH of this process: that of the command may be another. MountError."""
    found = shutil.which("bwrap")
    if found is None:
        raise MountError("bwrap is missing: install the package bubblewrap")
    return found


def _write_arguments(arguments: Sequence[str]) -> int:
    """A file in memory for ``bwrap --args``."""
    descriptor = os.memfd_create("bwrap")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _unblocking() -> list[str]:
    """A command's beginning that lets signals through, but those that were ignored before."""
    passed = [number for number in PASSED if signal.getsignal(number) != signal.SIG_IGN]
    names = ",".join(number.name.removeprefix("SIG") for number in (*passed, signal.SIGCHLD))
    return ["/usr/bin/env", f"--default-signal={names}", "--"]


# --- the thread that starts them --------------------------------------------


class _Starter:
    """Starts processes in one thread that lives as long as this process.

    The kernel kills bwrap when the *thread* ends that started it. The thread
    blocks the signals that bwrap's processes are to have blocked.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="containers", daemon=True).start()

    def call(self, job: Callable[[], ContainerCommand]) -> ContainerCommand:
        done: Future[ContainerCommand] = Future()
        self._jobs.put((job, done))
        return done.result()

    def _work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (*PASSED, signal.SIGCHLD))
        while True:
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)


_starter: list[_Starter] = []


def start(job: Callable[[], ContainerCommand]) -> ContainerCommand:
    """Call ``job`` in the thread for it. What it raises is raised here."""
    if not _starter or _starter[0].pid != os.getpid():
        _starter[:] = [_Starter()]
    return _starter[0].call(job)
