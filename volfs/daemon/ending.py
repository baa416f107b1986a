"""Ending on a signal within a limit, whatever hangs.

Orders to end, which are signals, reach one thread that does nothing else. Their handler needs no
interpreter: it writes to a pipe of the watcher, a process that takes the mount away if this one
does not. If the watcher dies, a thread takes its part, as well as a thread can. What was recorded
of the overlay stays, and the next mount takes it over.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from typing import NoReturn

import trio

from volfs.daemon.logs import end_log
from volfs.daemon.watcher import (
    ASK,
    END,
    LAST_WORDS,
    RELEASE,
    SIGNALS,
    Watcher,
    start_watcher,
)

log = logging.getLogger(__name__)


class Ending:
    """The end of this process. Made by its first thread, before other threads and any store."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = self._number = 0
        self._heard = [number for number in SIGNALS if not _is_ignored_hangup(number)]
        signal.pthread_sigmask(signal.SIG_BLOCK, self._heard)
        self._orders, self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._watcher = start_watcher(theirs, self._orders)

    def watch(self) -> None:
        """Treat signals as orders to end from now on."""
        for number in self._heard:
            signal.signal(number, _do_nothing)
        self._take_wakeups()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def begin(self) -> None:
        """Let an order set ``asked`` from now on. Called in the trio thread, once trio runs."""
        self._take_wakeups()  # Trio has put its own descriptor in that place.
        self._token = trio.lowlevel.current_trio_token()

    def tell_mounted(self, number: int) -> None:
        """Tell the watcher the kernel's number of our mount, which it takes away at the end."""
        self._number = number
        self._tell()

    def tell_gone(self) -> None:
        """Tell the watcher that the mount is gone, so that it leaves alone what is at its
        place."""
        self._number = 0
        self._tell()

    def _take_wakeups(self) -> None:
        signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)

    def _tell(self) -> None:
        with suppress(OSError):
            self._line.send(b"%d %d" % (self._thread, self._number), socket.MSG_DONTWAIT)

    # --- the thread of orders -------------------------------------------

    def _listen(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._heard)
        self._thread = threading.get_native_id()
        self._tell()
        while True:
            try:
                said = self._line.recv(1 << 10)
            except OSError:
                said = b""
            if said == ASK:
                self._ask()
            elif said.startswith(END):
                self._end_at_once(said.removeprefix(END).decode())
            elif not said:
                self._replace_watcher()

    def _ask(self) -> None:
        if self._token is None:
            os._exit(1)  # Nothing is mounted, and nothing has begun.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.asked.set)

    def _end_at_once(self, why: str) -> NoReturn:
        """Log the reason, while the watcher takes the mount away. The log may be what hangs."""
        words = ("%s: ending at once; what was recorded of the overlay stays", why)
        logging_it = threading.Thread(target=_log_last, args=words, daemon=True)
        logging_it.start()
        select.select([self._line], [], [], RELEASE)
        logging_it.join(LAST_WORDS / 2)
        os._exit(1)

    def _replace_watcher(self) -> None:
        """Replace the dead watcher by a thread. It is better than nothing, although it needs the
        interpreter."""
        with suppress(ChildProcessError):
            os.waitpid(self._watcher, 0)
        words = ("the watcher, process %d, has died: a disk that hangs may keep us", self._watcher)
        threading.Thread(target=log.warning, args=words, daemon=True).start()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.getpid()
        watcher = Watcher(theirs, self._orders, os.pidfd_open(pid), pid)
        threading.Thread(target=watcher.run, name="watcher", daemon=True).start()
        self._tell()


def _log_last(*words: object) -> None:
    log.error(*words)
    end_log()


def _is_ignored_hangup(number: int) -> bool:
    """Whether ``nohup`` or the like has told this process to stay."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def _do_nothing(number: int, frame: object) -> None:
    """Do nothing. Python's C handler has written to the pipe before."""
