"""What no engine owns, over packs in memory: a second engine has to bring no more than this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.model.objects import Kind, Oid
from volfs.model.pack import (
    RECORD_HEADER_SIZE,
    Codec,
    PackKind,
    encode_pack_header,
    encode_record_header,
    pack_kind,
)
from volfs.model.progress import Progress, report_nothing
from volfs.model.references import Reference
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.care import Damage
from volfs.store.packs.check import check_packs
from volfs.store.packs.codec import Packed
from volfs.store.packs.copier import Copier
from volfs.store.packs.entries import iter_entry_damage
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.reader import ObjectReader
from volfs.store.packs.rebuilder import Rebuilder
from volfs.store.packs.rows import IndexEntry, PackRow, place_record
from volfs.store.packs.survey import survey_packs
from volfs.store.packs.upload import PackUpload

CHUNKS = [bytes([n]) * n * 977 for n in range(1, 60)] + [b"", b"x" * 300_000]
TREES = [b"tree %d" % n for n in range(9)]


class Shelf:
    """``PackSource``: packs in a dictionary, as a bucket has objects."""

    def __init__(self) -> None:
        self.packs: dict[int, bytearray] = {}
        self.is_slow = False
        self.ready_max = 1 << 30

    def read_at(self, pack: int, offset: int, length: int) -> bytes:
        data = self._get(pack)[offset : offset + length]
        if len(data) < length:
            raise DamagedObjectError(f"pack {pack}: it was cut short")
        return bytes(data)

    def read_ready(self, pack: int, offset: int, length: int) -> bytes | None:
        return (
            None if self.is_slow or length > self.ready_max else self.read_at(pack, offset, length)
        )

    def prefetch(self, pack: int, offset: int, length: int) -> None:
        pass

    def expect_scattered(self, pack: int) -> None:
        pass

    def get_size(self, pack: int) -> int:
        return len(self._get(pack))

    def forget(self, pack: int) -> None:
        self.packs.pop(pack, None)

    def _get(self, pack: int) -> bytearray:
        if pack not in self.packs:
            raise MissingObjectError(f"pack {pack} is missing")
        return self.packs[pack]


class Spool:
    """``PackSink``: packs that leave the shelf again unless they are settled."""

    def __init__(self, shelf: Shelf, index: LocalIndex) -> None:
        self.shelf = shelf
        self.index = index
        self.open: dict[PackKind, tuple[int, bytearray]] = {}
        self.synced: list[tuple[int, int]] = []

    def append(self, packed: Packed) -> IndexEntry:
        kind = pack_kind(packed.header.kind)
        if kind not in self.open:
            number = max(self.shelf.packs, default=0) + 1
            self.shelf.packs[number] = bytearray(encode_pack_header(kind))
            self.open[kind] = (number, self.shelf.packs[number])
            with self.index.environment.write() as txn:
                self.index.put_pack(txn, PackRow(number, kind, 0))
        number, data = self.open[kind]
        header = encode_record_header(packed.header)
        data += header + b"".join(packed.parts)
        return place_record(packed.header, number, len(data) - packed.header.stored)

    def sync(self) -> None:
        self.synced = self.list_ends()

    def list_ends(self) -> list[tuple[int, int]]:
        return [(number, len(data)) for number, data in self.open.values()]

    def prove(self, relied: Mapping[int, int]) -> None:
        assert all(pack in self.shelf.packs for pack in relied)

    def settle(self) -> None:
        assert self.synced == self.list_ends(), "what is published is durable"
        self.open.clear()

    def release(self) -> None:
        for number, _ in self.open.values():
            self.shelf.forget(number)
        self.open.clear()


class Live:
    """``contract.care.Live``: these, and nothing below them."""

    def __init__(self, oids: Iterable[Oid]) -> None:
        self.oids = set(oids)

    def keep(self, roots: Iterable[Reference]) -> None:
        raise AssertionError("a survey keeps nothing")

    def __contains__(self, oid: Oid, /) -> bool:
        return oid in self.oids


class Engine:
    def __init__(self, path: Path, shelf: Shelf | None = None) -> None:
        path.mkdir()
        self.shelf = shelf or Shelf()
        self.index = LocalIndex(LmdbEnvironment(path))
        self.objects = ObjectReader(self.index, self.shelf, ahead=1 << 20)

    def put(self, objects: Iterable[tuple[Kind, bytes]]) -> dict[Oid, bytes]:
        with PackUpload(self.index, self.objects, Spool(self.shelf, self.index)) as upload:
            put = {upload.put_object(kind, data): data for kind, data in objects}
            assert all(upload.load_object(oid) == data for oid, data in put.items())
            with upload.made_durable() as batch, self.index.environment.write() as txn:
                for oid, entry in batch.entries.items():
                    self.index.replace_entry(txn, oid, self.index.find_row(txn, oid), entry)
                for pack, end in batch.packs:
                    self.index.extend(txn, pack, end)
                upload.prove(dict(batch.packs))
        return put

    def move(self, live: Live) -> None:
        """Copy what is live out of every pack, and let go of the packs."""
        uses = survey_packs(self.index, live, self.shelf.get_size)
        rows = self.index.read_rows({use.pack for use in uses})
        with Copier(self.index, self.shelf, Spool(self.shelf, self.index)) as copier:
            moved = [copier.copy(*row) for use in uses for row in rows[use.pack] if row[0] in live]
            copier.sync()
            with self.index.environment.write() as txn:
                for item in moved:
                    assert self.index.replace_entry(txn, *item)
                for use in uses:
                    for oid, row in rows[use.pack]:
                        self.index.replace_entry(txn, oid, row, None)
                    self.index.remove_pack(txn, use.pack)
                copier.extend(txn)
            copier.settle()
        for use in uses:
            self.shelf.forget(use.pack)

    def list_damage(self) -> list[Damage]:
        rows = self.index.list_packs()
        found: Iterator[object] = check_packs(
            self.index, self.shelf, rows, report_nothing, read_data=True
        )
        entries = iter_entry_damage(self.index, self.shelf, {row.pack: row for row in rows})
        return [item for item in (*found, *entries) if isinstance(item, Damage)]

    def close(self) -> None:
        self.index.environment.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "index")
    yield engine
    engine.close()


def put_all(engine: Engine) -> dict[Oid, bytes]:
    put = engine.put((Kind.CHUNK, data) for data in CHUNKS)
    return put | engine.put((Kind.TREE, data) for data in TREES)


def test_objects_are_put_and_read(engine: Engine) -> None:
    put = put_all(engine)
    for oid, data in put.items():
        assert engine.objects.load_object(oid) == data
        assert (
            bytes(engine.objects.read_object(oid, len(data) // 3, len(data) // 2))
            == (data[len(data) // 3 :][: len(data) // 2])
        )
    engine.shelf.is_slow = True
    oid = next(oid for oid, data in put.items() if len(data) > 100_000)
    assert ObjectReader(engine.index, engine.shelf, ahead=1).read_object_ready(oid, 5, 5) is None
    assert engine.list_damage() == []


def test_a_part_of_a_record_with_a_damaged_header_is_read_without_the_rest(
    engine: Engine,
) -> None:
    """The checksum of the table says whose table it is. A check finds the damage."""
    oid = next(oid for oid, data in put_all(engine).items() if len(data) > 100_000)
    entry = engine.index.find_entry(oid)
    assert entry is not None
    assert entry.codec is Codec.BLOCKS
    engine.shelf.packs[entry.pack][entry.offset - 1] ^= 1
    engine.shelf.ready_max = RECORD_HEADER_SIZE + entry.stored - 1
    found = ObjectReader(engine.index, engine.shelf, ahead=1).read_object_ready(oid, 5, 5)
    assert found == b"xxxxx"
    assert any(damage.oid == oid for damage in engine.list_damage())


def test_what_is_known_is_not_put_again(engine: Engine) -> None:
    put_all(engine)
    packs = dict(engine.shelf.packs)
    put_all(engine)
    assert engine.shelf.packs == packs


@settings(max_examples=20, deadline=None)
@given(kept=st.sets(st.integers(0, len(CHUNKS) + len(TREES) - 1)), data=st.data())
def test_what_is_live_is_copied_and_the_rest_goes(
    kept: set[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine = Engine(tmp_path_factory.mktemp("engine") / "index")
    put = put_all(engine)
    live = Live(oid for number, oid in enumerate(sorted(put)) if number in kept)
    engine.move(live)
    assert {oid for oid, _ in engine.index.iter_rows()} == live.oids
    for oid in live.oids:
        assert engine.objects.load_object(oid) == put[oid]
    uses = survey_packs(engine.index, live, engine.shelf.get_size)
    assert sum(use.live_objects for use in uses) == len(live.oids)
    assert not any(use.dead_objects or use.dead_bytes for use in uses)
    assert engine.list_damage() == []
    if engine.shelf.packs:
        pack = data.draw(st.sampled_from(sorted(engine.shelf.packs)))
        at = data.draw(st.integers(0, engine.shelf.get_size(pack) - 1))
        engine.shelf.packs[pack][at] ^= 0x40
        assert engine.list_damage()
    engine.close()


def test_what_is_not_published_is_given_back(engine: Engine) -> None:
    put_all(engine)
    packs = {pack: bytes(data) for pack, data in engine.shelf.packs.items()}
    with PackUpload(engine.index, engine.objects, Spool(engine.shelf, engine.index)) as upload:
        oid = upload.put_object(Kind.CHUNK, b"never published" * 100)
        assert upload.load_object(oid) == b"never published" * 100
    assert engine.shelf.packs == packs
    assert not engine.objects.contains(oid)


def test_an_index_is_made_again_from_packs_alone(engine: Engine, tmp_path: Path) -> None:
    put_all(engine)
    again = Engine(tmp_path / "again", engine.shelf)
    rebuilder = Rebuilder(again.index, engine.shelf, {})
    told: list[Progress] = []
    rebuilder.run(sorted(engine.shelf.packs), told.append)
    assert told[-1].bytes == rebuilder.bytes > 0
    assert list(again.index.iter_rows()) == list(engine.index.iter_rows())
    assert again.index.list_packs() == engine.index.list_packs()
    assert (rebuilder.packs, rebuilder.damaged_packs) == (len(engine.shelf.packs), 0)
    again.close()


def test_a_pack_that_is_gone_is_told(engine: Engine) -> None:
    put = put_all(engine)
    pack = min(engine.shelf.packs)
    engine.shelf.forget(pack)
    where = {item.where.partition(" at ")[0] for item in engine.list_damage() if not item.oid}
    assert where == {f"pack {pack}"}
    with pytest.raises(MissingObjectError, match=f"pack {pack} is missing"):
        engine.objects.load_object(next(iter(put)))
