"""Waiting for other processes in the kernel, by futexes in a file that all of them map.

A signal is a word of the file and one bit of a mask. A hash of its name chooses both. Waking
writes a new random word, so that a process with an older ticket does not fall asleep, and then
wakes sleepers with that bit. A word gets a value that it had before only with a chance of one in
2^32.

The words mean nothing to a process that does not wait, so the file may be lost.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import struct
import threading
import time
import weakref
from pathlib import Path

import xxhash

from volfs.store.checked_lmdb.access import is_writable
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.owner import open_for_owner
from volfs.store.thaw import wait_until_thawed
from volfs.system.libc import system_call

SIZE = 1 << 16
_WORDS = SIZE // 4
_BITS = 32
_WORD = struct.Struct("=I")

_CALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "s390x": 238}
_CALLS |= {"ppc64le": 221, "ppc64": 221}
_CALL = _CALLS.get(platform.machine())
_WAIT_BITSET, _WAKE_BITSET = 9, 10
_ALL = (1 << 31) - 1
_BLIND = 0.05
"""Seconds between two looks on a machine whose futex call is not known here."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Signals:
    """The mapped file. A forked process may use it, because a mapping is inherited."""

    def __init__(self, path: Path) -> None:
        if not is_writable(path.parent):
            # Processes cannot signal each other here, but a waiter needs something to wait on.
            self.file = -1
            self._map = mmap.mmap(-1, SIZE)
            self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
            return
        with store_errors(f"signals {path}"):
            self.file = open_for_owner(path)
            weakref.finalize(self, os.close, self.file)
            # The blocks are allocated, because a write to a hole on a full disk would kill the
            # process.
            os.posix_fallocate(self.file, 0, SIZE)
            self._map = mmap.mmap(self.file, SIZE)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def get(self, name: bytes) -> FutexSignal:
        number = xxhash.xxh3_64_intdigest(name)
        at = number % _WORDS * 4
        return FutexSignal(self, self._map, self._start + at, at, 1 << (number >> 32) % _BITS)


class FutexSignal:
    """``store.tables.Signal``: one word of the file, and one bit."""

    def __init__(self, signals: Signals, words: mmap.mmap, address: int, at: int, bit: int) -> None:
        self._signals = signals
        self._words = words
        self._address = ctypes.c_void_p(address)
        self._at = at
        self._bit = ctypes.c_uint32(bit)

    def ticket(self) -> int:
        word: int = _WORD.unpack_from(self._words, self._at)[0]
        return word

    def wait(self, ticket: int, seconds: float) -> None:
        if seconds <= 0:
            return
        if _CALL is None:
            threading.Event().wait(min(seconds, _BLIND))
            return
        wait_until_thawed(self._signals.file)
        until = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9)
        limit = _Timespec(*divmod(until, 1_000_000_000))
        self._call(_WAIT_BITSET, ticket, ctypes.byref(limit))

    def wake(self, waiters: int | None = None) -> None:
        wait_until_thawed(self._signals.file)
        self._words[self._at : self._at + _WORD.size] = os.urandom(_WORD.size)
        if _CALL is not None:
            self._call(_WAKE_BITSET, _ALL if waiters is None else waiters, None)

    def _call(self, operation: int, value: int, limit: object) -> None:
        asked = (ctypes.c_int(operation), ctypes.c_uint32(value))
        try:
            system_call(_CALL or 0, self._address, *asked, limit, None, self._bit)
        except OSError as error:
            if error.errno not in _EXPECTED:
                raise OSError(error.errno, "futex") from error


_EXPECTED = (errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR)
"""The word had changed; the time is up; a signal came, whose handler Python now runs."""
