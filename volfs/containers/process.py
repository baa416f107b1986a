"""A command in a container: bwrap, and signals for the command itself.

bwrap's own processes stand between us and the command. They block the signals
that are meant for it, and GNU env in front of the command unblocks them, so a
Ctrl-C of the terminal, which goes to all of them, ends none but the command.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from volfs.errors import UserError

PASSED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""The signals that a container's command gets from us."""
LOOK_AGAIN = 0.005


class _Status(msgspec.Struct, rename="kebab"):
    """What bwrap says first on its status descriptor."""

    child_pid: int = 0


class ContainerProcess(subprocess.Popen[Any]):
    """A command in a container. Signals reach the command; ``kill`` ends all its processes.

    ``returncode`` is the command's exit status, 128 + n where signal n ended it.
    """

    def __init__(
        self, layout: Sequence[str], argv: Sequence[str | bytes | os.PathLike[str]], **options: Any
    ) -> None:
        if "=" in os.fsdecode(argv[0]):
            raise UserError(f"{os.fsdecode(argv[0])}: a command in a container cannot have an =")
        self._reaper = 0
        reader, status = os.pipe()
        self._status = os.fdopen(reader, "rb")
        weakref.finalize(self, self._status.close)
        arguments = _write_arguments(layout)
        try:
            options["pass_fds"] = (*options.get("pass_fds", ()), status, arguments)
            flags = ("--args", str(arguments), "--json-status-fd", str(status))
            super().__init__(["bwrap", *flags, "--", *_unblocking(), *argv], **options)
        finally:
            os.close(status)
            os.close(arguments)

    def send_signal(self, sig: int) -> None:
        """Send it to the command, which may take a moment to be there; SIGKILL ends everything."""
        if self.poll() is not None:
            return
        reaper = self._find_reaper()
        target = reaper if sig == signal.SIGKILL else self._find_command(reaper)
        if target:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, sig)
        if sig == signal.SIGKILL:
            super().send_signal(sig)

    def _find_reaper(self) -> int:
        """Process 1 of the container; 0 where bwrap has failed.

        To be killed first: without bwrap's first process it might never begin, nor end.
        """
        if not self._reaper:
            said = self._status.readline()  # waits for bwrap, or its end
            self._reaper = msgspec.json.decode(said or b"{}", type=_Status).child_pid
        return self._reaper

    def _find_command(self, reaper: int) -> int | None:
        """The command's process; None once it has ended."""
        children = Path(f"/proc/{reaper}/task/{reaper}/children")
        while reaper and self.poll() is None:
            try:
                found = children.read_text().split()
            except OSError:
                return None
            if found:
                return int(found[0])
            select.select((), (), (), LOOK_AGAIN)
        return None


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

    def call(self, job: Callable[[], ContainerProcess]) -> ContainerProcess:
        done: Future[ContainerProcess] = Future()
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


def start(job: Callable[[], ContainerProcess]) -> ContainerProcess:
    """Call ``job`` in the thread for it. What it raises is raised here."""
    if not _starter or _starter[0].pid != os.getpid():
        _starter[:] = [_Starter()]
    return _starter[0].call(job)
