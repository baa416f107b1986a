"""The packs of one upload: records are spooled, and packs are put in parallel as they fill."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

from volfs.errors import StoreReplacedError
from volfs.errors.fault_points import reached
from volfs.model.pack import PackKind, pack_kind
from volfs.model.segments.footer import Footer, encode_footer
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.pack_numbers import PackNumber
from volfs.store.distributed.data.spool import Spool
from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import IndexEntry
from volfs.system.world import REAL

IN_FLIGHT = 8
"""The most packs that are put at once. Whoever appends waits for the first of them."""
LINE_BYTES = 128 << 10
LINE_RECORDS = 256
"""The most that travels in a line."""
SPOOLS_KEPT = 8
"""Packs that stay in their spools after they were put, in case that they have to be put again."""


class PutPack(NamedTuple):
    """A pack that is in the bucket, and what is in it."""

    number: PackNumber
    pack: NamedPack
    footer: Footer


class BucketSink:
    """``PackSink``. For one thread at a time.

    A pack that could not be put is put again by the next ``sync`` or ``ship``.
    """

    def __init__(self, packs: BucketPacks, directory: Path) -> None:
        self._packs = packs
        self._directory = directory
        self._open: dict[PackKind, Spool] = {}
        self._full: dict[PackNumber, Spool] = {}
        """Spools whose packs are not in the bucket yet."""
        self._flying: dict[PackNumber, Future[PutPack]] = {}
        self._put: dict[PackNumber, PutPack] = {}
        self._kept: list[PackNumber] = []
        self._threads: ThreadPoolExecutor | None = None
        self._is_pipelined = packs.bucket.world is REAL
        """Whether packs are put while others fill. A simulation allows no threads of ours, and
        puts all packs when they are waited for."""

    # --- PackSink --------------------------------------------------------

    def append(self, packed: Packed) -> IndexEntry:
        kind = pack_kind(packed.header.kind)
        entry = self._open_spool(kind).append(packed)
        if entry is None:
            self._end(kind)
            entry = self._open_spool(kind).append(packed)
            assert entry is not None, "an empty spool took no record"
        if self._open[kind].is_full:
            self._end(kind)
        return entry

    def sync(self) -> None:
        """Put everything, and wait until it is in the bucket. StoreError."""
        for kind in list(self._open):
            self._end(kind)
        self._wait_for_all()

    def list_ends(self) -> list[tuple[int, int]]:
        return [(number, put.pack.length) for number, put in self._put.items()]

    def prove(self, relied: Mapping[int, int]) -> None:
        """Raise StoreReplacedError if the bucket lacks one of the packs, as far as is known."""
        for number in relied:
            if not self._packs.is_there(number):
                raise StoreReplacedError(f"pack {number} is gone: try again")

    def settle(self) -> None:
        """Remember nothing of what was put. What is in open spools is given up."""
        self.release()

    def release(self) -> None:
        for future in self._flying.values():
            future.cancel()
        wait(self._flying.values())
        for number in [*self._full, *self._kept, *(s.number for s in self._open.values())]:
            self._packs.drop_spool(number)
        for known in (self._open, self._full, self._flying, self._put):
            known.clear()
        self._kept.clear()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    # --- for the upload --------------------------------------------------

    def ship(self) -> list[Spool]:
        """Put what is too much for a line, wait until it is in the bucket, and return the spools
        whose records go into the line. StoreError."""
        for kind in self._choose_too_large():
            self._end(kind)
        self._wait_for_all()
        return [spool for spool in self._open.values() if spool.records]

    def list_put(self) -> list[PutPack]:
        return list(self._put.values())

    def put_again(self, number: PackNumber) -> PutPack:
        """Put a pack under a new name, and forget the former one. StoreError; DataError if its
        bytes are gone."""
        former = self._put[number]
        start = former.pack.footer
        records = self._packs.read_at(number, 0, start)
        pack = former.pack._replace(name=self._packs.make_name())
        again = PutPack(self._packs.numbers.reserve(), pack, former.footer)
        self._packs.numbers.bind(again.number, pack)
        self._packs.put(pack, memoryview(records + encode_footer(former.footer, start)))
        puts = [put if put.number != number else again for put in self._put.values()]
        self._put = {put.number: put for put in puts}
        self._packs.drop_spool(number)
        return again

    # --- inside ----------------------------------------------------------

    def _open_spool(self, kind: PackKind) -> Spool:
        spool = self._open.get(kind)
        if spool is None:
            spool = Spool(kind, self._packs.numbers.reserve(), self._directory)
            self._open[kind] = spool
            self._packs.add_spool(spool)
        return spool

    def _choose_too_large(self) -> list[PackKind]:
        """The kinds whose records do not go into the line: as few as possible, the larger one
        first."""
        chosen: list[PackKind] = []
        left = sorted(self._open.values(), key=lambda spool: spool.size)
        while left and not _fits(left):
            chosen.append(left.pop().kind)
        return chosen

    def _end(self, kind: PackKind) -> None:
        """End a pack, and begin to put it."""
        spool = self._open[kind]
        if spool.records:
            del self._open[kind]
            self._full[spool.number] = spool
            if self._is_pipelined:
                self._send(spool)

    def _send(self, spool: Spool) -> None:
        while len(self._flying) >= IN_FLIGHT:
            wait(self._flying.values(), return_when=FIRST_COMPLETED)
            self._gather()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="pack")
        self._flying[spool.number] = self._threads.submit(self._put_spool, spool)

    def _put_spool(self, spool: Spool) -> PutPack:
        pack, data = spool.finish(self._packs.make_name())
        footer = Footer(data[pack.footer :].tobytes(), pack.footer)
        reached("upload.put")
        self._packs.numbers.bind(spool.number, pack)
        self._packs.put(pack, data)
        reached("upload.stored")
        return PutPack(spool.number, pack, footer)

    def _wait_for_all(self) -> None:
        """Wait for what is on its way. What failed before is tried again first. StoreError."""
        waiting = [spool for number, spool in self._full.items() if number not in self._flying]
        if not self._is_pipelined:
            calls = [partial(self._put_spool, spool) for spool in waiting]
            for put in self._packs.bucket.world.gather(calls) if calls else []:
                self._note_put(put)
            return
        for spool in waiting:
            self._send(spool)
        wait(self._flying.values())
        errors = self._gather()
        if errors:
            raise errors[0]

    def _gather(self) -> list[BaseException]:
        """Take note of what has arrived, and return what failed."""
        errors = []
        for number, future in list(self._flying.items()):
            if not future.done():
                continue
            del self._flying[number]
            error = future.exception()
            if error is not None:
                errors.append(error)
                continue
            self._note_put(future.result())
        return errors

    def _note_put(self, put: PutPack) -> None:
        self._put[put.number] = put
        del self._full[put.number]
        self._kept.append(put.number)
        while len(self._kept) > SPOOLS_KEPT:
            self._packs.drop_spool(self._kept.pop(0))


def _fits(spools: list[Spool]) -> bool:
    records = sum(len(spool.records) for spool in spools)
    return records <= LINE_RECORDS and sum(spool.size for spool in spools) <= LINE_BYTES
