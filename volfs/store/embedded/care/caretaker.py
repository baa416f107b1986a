"""Locks of care: one gc or repair at a time, and packs that nobody else writes to meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.errors import ConflictError
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.embedded.data.pack_files import pack_path
from volfs.store.embedded.data.packs import Packs
from volfs.system.locks import try_lock


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Allow one gc or repair at a time. ConflictError if another runs. The lock ends with its
    process."""
    with store_errors(f"{directory}"):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not try_lock(fd):
            raise ConflictError("another gc or repair of this store is running; wait for it")
        yield
    finally:
        os.close(fd)


class LockedPack:
    """The lock of a pack, held as long as this object lives: nobody writes to the pack
    meanwhile."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def lock_pack(packs: Packs, pack: int, durable: int) -> LockedPack | None:
    """Lock a pack. None if somebody else has it, or if its row has changed. A pack without a file
    needs no lock."""
    with store_errors(f"pack {pack}"):
        try:
            fd = os.open(pack_path(packs.directory, pack), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return LockedPack(-1) if durable else None
    locked = LockedPack(fd)
    row = packs.index.find_pack(pack) if try_lock(fd) else None
    if row is None or row.durable != durable:
        locked.close()
        return None
    return locked
