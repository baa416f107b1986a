"""A command in a container: bwrap, and signals for the command itself.

bwrap's own processes stand between us and the command. They block the signals that are meant for
the command, and GNU env in front of the command unblocks them. So a Ctrl-C at the terminal, which
goes to all of them, ends only the command.
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
"""The signals that we pass on to a container's command."""


class _Status(msgspec.Struct, rename="kebab"):
    """The first message of bwrap on its status descriptor."""

    child_pid: int = 0


class ContainerCommand(subprocess.Popen[Any]):
    """A command in a container. Signals reach the command; ``kill`` ends all its processes.

    ``returncode`` is the command's exit status, or 128 + n if signal n ended it.
    """

    def __init__(
        self,
        layout: Sequence[str],
        argv: Sequence[str | bytes | os.PathLike[str]],
        guard: Guard | None = None,
        **options: Any,
    ) -> None:
        """Start the command. ``guard`` kills its processes if this process is killed."""
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
        """Find the command's process, and hold its namespace, while the command waits for us."""
        file = os.fdopen(status, "rb")
        _close_with(self, file.close)  # bwrap writes more, and dies if nobody reads
        said = file.readline()  # empty if bwrap has ended
        self._command = msgspec.json.decode(said or b"{}", type=_Status).child_pid
        self._members: Members | None = None
        if self._command:
            with contextlib.suppress(FileNotFoundError):
                self._members = Members(self._command)
                _close_with(self, self._members.close)
                if self._guard is not None:
                    self._guard.add(self._members)

    def send_signal(self, sig: int) -> None:
        """Send a signal to the command. SIGKILL ends all its processes, also those that the
        command left behind."""
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
    """Call ``close`` when the process object is dropped, but not at the interpreter's exit:
    containers that are open then still have to be ended."""
    weakref.finalize(process, close).atexit = False


def find_bwrap() -> str:
    """The path of bwrap, by the PATH of this process, because the command's PATH may be another.
    MountError."""
    found = shutil.which("bwrap")
    if found is None:
        raise MountError("bwrap is missing: install the package bubblewrap")
    return found


def _write_arguments(arguments: Sequence[str]) -> int:
    """A file in memory with the arguments for ``bwrap --args``, as a descriptor."""
    descriptor = os.memfd_create("bwrap")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _unblocking() -> list[str]:
    """The beginning of a command line that unblocks signals, except those that this process
    ignores."""
    passed = [number for number in PASSED if signal.getsignal(number) != signal.SIG_IGN]
    names = ",".join(number.name.removeprefix("SIG") for number in (*passed, signal.SIGCHLD))
    return ["/usr/bin/env", f"--default-signal={names}", "--"]


# --- the thread that starts commands ----------------------------------------


class _Starter:
    """Starts processes in one thread that lives as long as this process.

    The kernel kills bwrap when the *thread* that started it ends. The thread blocks the signals
    that bwrap's processes are to have blocked.
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
            except BaseException as error:  # noqa: BLE001 - the error is for the caller
                done.set_exception(error)


_starter: list[_Starter] = []


def start(job: Callable[[], ContainerCommand]) -> ContainerCommand:
    """Call ``job`` in the thread that starts processes. What it raises is raised here."""
    if not _starter or _starter[0].pid != os.getpid():
        _starter[:] = [_Starter()]
    return _starter[0].call(job)
