"""Putting the chunks of one version into a store, by several threads, with savepoints."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.errors.fault_points import reached
from volfs.model.objects import Kind, Load, Oid
from volfs.store.contract.objects import Upload
from volfs.volume.edit import Edit
from volfs.volume.replicas.incoming import IncomingVolume, save_chunks

SAVE_BYTES = 1 << 30
SAVE_CHUNKS = 100_000
"""A savepoint is made when so much is new since the last one."""
BATCH = 64
_BATCHES_AHEAD = 8

CountBytes = Callable[[int], None]
"""Called with the size in bytes of each chunk that was sent, from any thread."""


class ChunkSender:
    """The chunks of one version on their way. A context manager, for one thread.

    The first ``SAVE_BYTES`` go into the version's own upload, because most versions have no more.
    What comes after them is published in ``incoming``, a savepoint at a time.
    """

    def __init__(
        self, load: Load, upload: Upload, incoming: IncomingVolume, tell: CountBytes
    ) -> None:
        self._load = load
        self._upload = upload
        self._incoming = incoming
        self._tell = tell
        self._edit: Edit | None = None
        self._batch: list[Oid] = []
        self._waiting: deque[Future[list[Oid]]] = deque()
        self._unsaved: list[Oid] = []
        self._stack = ExitStack()
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def send(self, oid: Oid) -> None:
        """Put a chunk, unless the store has it. Errors may come with a later chunk."""
        self._batch.append(oid)
        if len(self._batch) == BATCH:
            self._submit()
            self._settle(_BATCHES_AHEAD)
            if self._is_full():
                self._turn()

    def finish(self) -> None:
        """Wait for all chunks. Afterwards the version's upload has them, or relies on them."""
        self._submit()
        self._settle(0)
        self._save()

    # --- inside ----------------------------------------------------------

    @property
    def _current(self) -> Upload:
        """The upload into which chunks go now: the version's own, or a savepoint's."""
        return self._upload if self._edit is None else self._edit.upload

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._send_batch, self._batch, self._current))
        self._batch = []

    def _send_batch(self, batch: list[Oid], into: Upload) -> list[Oid]:
        """Put the chunks that the store lacks into an upload. Returns those."""
        return [oid for oid in batch if self._send_one(oid, into)]

    def _send_one(self, oid: Oid, into: Upload) -> bool:
        if self._upload.rely_on(oid):
            return False
        data = self._load(oid)
        check_same(oid, into.put_object(Kind.CHUNK, data))
        self._tell(len(data))
        return True

    def _settle(self, left: int) -> None:
        while len(self._waiting) > left:
            self._unsaved += self._waiting.popleft().result()

    def _is_full(self) -> bool:
        return self._current.new_bytes >= SAVE_BYTES or len(self._unsaved) >= SAVE_CHUNKS

    def _turn(self) -> None:
        """Go on with a new savepoint."""
        self._settle(0)
        self._save()
        self._edit = self._stack.enter_context(self._incoming.open())

    def _save(self) -> None:
        """Publish the chunks that are only in the open savepoint, and rely on them."""
        unsaved, self._unsaved = self._unsaved, []
        if self._edit is None:
            return
        save_chunks(self._edit, unsaved)
        self._stack.close()
        self._edit = None
        reached("send.saved")
        for oid in unsaved:
            if not self._upload.rely_on(oid):
                raise MissingObjectError(
                    "what was sent has been removed there meanwhile; send it again"
                )


def check_same(expected: Oid, found: Oid) -> None:
    """DamagedObjectError if the bytes that were sent do not have the id that they came with."""
    if found != expected:
        raise DamagedObjectError(f"object {expected.hex()}: its bytes give another id")
