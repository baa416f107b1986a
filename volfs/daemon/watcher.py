"""The watcher: a process beside each daemon, which ends the daemon's mount in time.

A daemon may stand still with all its threads, because one that waits for a disk may hold what the
others need. The watcher has no store, log or mount open and waits for none. Orders to end reach it
from the daemon's signal handler, through a pipe. It passes the first one on. If the daemon has not
ended in time, the watcher takes the mount away and kills the daemon
(docs/decisions/0024-a-watcher-ends-the-mount.md).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import NoReturn

from volfs.control.force import abort, detach, remove_sockets
from volfs.control.mounts import MountPoint, list_mount_points
from volfs.control.process_state import ProcessState, find_process_state, to_mask
from volfs.daemon.orders import Orders
from volfs.system.arguments import retitle
from volfs.system.libc import name_process
from volfs.system.proc import list_descriptors

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGPWR,
    signal.SIGXCPU,
)
"""The orders to end. A closing terminal sends SIGHUP. It is left out if it is ignored, as under
``nohup``."""
ASK, END, RELEASED = b"ask", b"end ", b"released"
"""The messages to the daemon: end; end at once, with the reason; nothing is left of the mount."""
RELEASE, LAST_WORDS = 1.0, 0.5
"""Seconds for taking the mount away, and for the daemon to log the reason and exit by itself."""
LOOK = 1.0
"""Seconds between two looks at the daemon's state."""
_TITLE, _SET_NAME = b"volfs-watcher", 15
_KEPT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT}


def start_watcher(line: socket.socket, orders: int) -> int:
    """Fork the watcher of this process, and return its id. The process has one thread, and
    ``SIGNALS`` blocked."""
    daemon = os.getpid()
    pidfd = os.pidfd_open(daemon)
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        _become_watcher(line, orders, pidfd, daemon)
    os.close(pidfd)
    return pid


def _become_watcher(line: socket.socket, orders: int, pidfd: int, daemon: int) -> NoReturn:
    try:
        gc.disable()
        _ignore_signals()
        os.setsid()  # A Ctrl-C is meant for the daemon.
        os.chdir("/")
        _close_others({line.fileno(), orders, pidfd})
        _take_name(b"%s of %d" % (_TITLE, daemon))
        Watcher(line, orders, pidfd, daemon).run()
    finally:
        os._exit(0)


class Watcher:
    """The watcher's knowledge of the daemon, and its actions."""

    def __init__(self, line: socket.socket, orders: int, pidfd: int, daemon: int) -> None:
        self._line = line
        self._pipe = orders
        self._pidfd = pidfd
        self._daemon = daemon
        self._orders = Orders()
        self._mount: MountPoint | None = None
        self._thread = 0
        self._was_ending = False

    def run(self) -> None:
        """Watch until the daemon has ended, or has been killed."""
        while True:
            ready = self._wait()
            if self._pidfd in ready:
                return
            if self._line.fileno() in ready and not self._hear():
                return
            if self._pipe in ready and os.read(self._pipe, 4096):
                self._receive()
            if not self._orders.has_come:
                self._look()
            why = self._orders.find_reason(time.monotonic())
            if why is not None:
                self._end(why)
                return

    def _wait(self) -> set[int]:
        left = self._orders.seconds_left(time.monotonic())
        poller = select.poll()
        for descriptor in (self._pidfd, self._line.fileno(), self._pipe):
            poller.register(descriptor, select.POLLIN)
        return {ready for ready, _ in poller.poll(1000 * (LOOK if left is None else left))}

    def _hear(self) -> bool:
        """Take the kernel's numbers of the thread of orders, and of the mount, which is 0 if there
        is none.

        False if the daemon speaks with another watcher by now.
        """
        said = self._line.recv(1 << 10)
        if said:
            self._thread, number = map(int, said.split())
            found = (mount for mount in list_mount_points() if mount.number == number)
            self._mount = next(found, None) if number else None
        return bool(said)

    def _say(self, words: bytes) -> None:
        with suppress(OSError):
            self._line.send(words, socket.MSG_DONTWAIT)

    def _receive(self) -> None:
        if self._orders.receive(time.monotonic()):
            self._say(ASK)

    def _look(self) -> None:
        """Look for what no signal handler reports: a daemon that is stopped, or was killed and
        cannot die."""
        state = find_process_state(self._daemon)
        if state is None:
            return
        if state.is_stopped and self._has_order(state):
            self._orders.receive(time.monotonic())
            # The handler then runs, and what it writes is the same order.
            self._signal(signal.SIGCONT)
            self._say(ASK)
        if state.is_ending and self._was_ending and self._mount is not None:
            abort(self._mount)
        self._was_ending = state.is_ending

    def _has_order(self, state: ProcessState) -> bool:
        """Whether an order is pending, or its handler was stopped before it could report it."""
        orders = to_mask(*SIGNALS)
        thread = find_process_state(self._daemon, self._thread) if self._thread else None
        return bool(state.pending & orders or (thread and thread.blocked & orders))

    def _end(self, why: str) -> None:
        self._say(END + why.encode())
        # This is a thread, because a mount point may lie on a file system that hangs, too.
        taking = threading.Thread(target=self._take_away, daemon=True)
        taking.start()
        taking.join(RELEASE)
        self._say(RELEASED)
        if not select.select([self._pidfd], [], [], LAST_WORDS)[0]:
            self._signal(signal.SIGKILL)
        taking.join(RELEASE)

    def _take_away(self) -> None:
        if self._mount is not None:
            abort(self._mount)
            remove_sockets(self._mount)
            detach(self._mount)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)


# --- the watcher's process --------------------------------------------------


def _ignore_signals() -> None:
    """Ignore signals, because a signal to every process is meant for those that have something to
    do."""
    for number in signal.valid_signals() - _KEPT:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _close_others(kept: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in set(list_descriptors()) - {0, 1, 2, *kept}:
        with suppress(OSError):  # This is the listing's own descriptor.
            os.close(descriptor)


def _take_name(title: bytes) -> None:
    """Set the name that ``ps`` shows, in the place of the daemon's arguments."""
    with suppress(OSError):
        name_process(_TITLE)
    retitle(title)
