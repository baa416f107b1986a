"""gc deletes nothing that is needed: calls fail, rows are damaged, and gc itself is killed."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.volume.garbage import BIG, make_garbage, pack_files, run_python
from tests.volume.index_rows import find_chunk, flip, forget, rows
from tests.volume.shortcuts import head_snapshot, noise, publish_files, read_file
from volfs.errors import DamagedObjectError, DataError, MissingObjectError, StoreUnavailableError
from volfs.model.objects import Kind
from volfs.model.references import walk_references
from volfs.store.contract.care import GcReport
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import Mark, collect_garbage
from volfs.volume.leases import snapshot_needs

# --- failing closed ----------------------------------------------------------


class Faulty:
    """A store of which the n-th of all calls fails, whichever it is; 0: none."""

    def __init__(self, store: Store, failing: int) -> None:
        self._target = store
        self._failing = failing
        self.calls = 0

    def objects_of(self, volume_id: str) -> Faulty:
        return self._wrap(self._target.objects_of(volume_id))

    @property
    def refs(self) -> Faulty:
        return self._wrap(self._target.refs)

    @property
    def leases(self) -> Faulty:
        return self._wrap(self._target.leases)

    @property
    def local(self) -> Path:
        return self._target.local

    @property
    def care(self) -> Faulty:
        return self._wrap(self._target.care)

    def _wrap(self, target: object) -> Faulty:
        part = Faulty.__new__(Faulty)
        part.__dict__ = self.__dict__ | {"_target": target}
        part.__dict__["count"] = self.count
        return part

    def count(self) -> None:
        self.calls += 1
        if self.calls == self._failing:
            raise StoreUnavailableError("the disk went away")

    def __getattr__(self, name: str) -> object:
        found = getattr(self._target, name)
        if name == "collect":
            return found

        def call(*arguments: object, **options: object) -> object:
            self.count()
            return found(*arguments, **options)

        return call


def run_faulty(store: Store, failing: int) -> tuple[int, GcReport | None]:
    faulty = Faulty(store, failing)
    try:
        return faulty.calls, collect_garbage(faulty, grace=0)  # type: ignore[arg-type]
    except StoreUnavailableError:
        return faulty.calls, None


def test_an_error_at_any_call_deletes_nothing(store: Store, volume: VolumeRecord) -> None:
    """JuiceFS #6479: a listing failed, and what it did not list was deleted."""
    publish_files(store, volume, {"d/f": noise(BIG), "g": noise(3000, 1)})
    publish_files(store, volume, {"d/h": noise(3000, 2)})
    make_garbage(store)
    files = pack_files(store)
    failing = 1
    while (report := run_faulty(store, failing)[1]) is None:
        assert pack_files(store) == files
        assert store.care.undelete().packs == 0
        failing += 1
    assert failing > 12
    assert report.deleted_bytes > BIG


@pytest.mark.parametrize("table", ["heads", "leases", "objects", "packs", "quarantine"])
@pytest.mark.damaged
def test_a_row_that_cannot_be_read_deletes_nothing(
    store: Store, volume: VolumeRecord, table: str
) -> None:
    publish_files(store, volume, {"f": noise(BIG)})
    make_garbage(store)
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.put(bytes([255]) * 4, b"no row", db=tables[table])
    files = pack_files(store)
    with pytest.raises(DataError):
        collect_garbage(store, grace=0)
    assert pack_files(store) == files
    assert read_file(store, volume, "f") == noise(BIG)


@pytest.mark.damaged
def test_a_damaged_tree_ends_gc(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/f": noise(BIG)})
    make_garbage(store)
    files = pack_files(store)
    store.close()
    again = open_store(store.url)
    flip(again, head_snapshot(again, volume).root.tree)
    with pytest.raises(DamagedObjectError, match="check --repair"):
        collect_garbage(again, grace=0)
    assert pack_files(again).keys() == files.keys()
    again.close()


@pytest.mark.damaged
@pytest.mark.parametrize("what", ["chunk", "tree", "manifest"])
def test_what_the_index_has_lost_ends_gc(store: Store, volume: VolumeRecord, what: str) -> None:
    publish_files(store, volume, {"f": noise(100_000)})
    make_garbage(store)
    snapshot, head = head_snapshot(store, volume), store.refs.get_head(volume.id)
    lost = {"chunk": find_chunk(store, volume, b"f"), "tree": snapshot.root.tree}
    forget(store, lost.get(what, head.manifest))
    files = pack_files(store)
    with pytest.raises(MissingObjectError, match="nothing may be removed"):
        collect_garbage(store, grace=0)
    assert pack_files(store) == files


@pytest.mark.damaged
def test_a_damaged_chunk_in_a_pack_to_rewrite_ends_gc(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": noise(30_000)})
    make_garbage(store)
    flip(store, find_chunk(store, volume, b"f"))
    with pytest.raises(DamagedObjectError):
        collect_garbage(store, grace=0)
    assert store.objects_of(volume.id).contains(find_chunk(store, volume, b"f"))


def test_a_file_that_the_index_does_not_know_is_never_deleted(
    store: Store, volume: VolumeRecord
) -> None:
    """Dolt #11070: what is absent from the index is lost, not worthless."""
    make_garbage(store)
    stray = Path(store.url) / "packs" / "00000077.pack"
    stray.write_bytes(b"what may this be?" * 100)
    collect_garbage(store, grace=0)
    assert stray.stat().st_size == 1700
    stray.unlink()


def test_calling_a_tree_a_chunk_hides_nothing(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/f": noise(BIG)})
    tree = head_snapshot(store, volume).root.tree
    mark = Mark(store)
    mark.keep(
        volume.id, [snapshot_needs(head_snapshot(store, volume))[0]._replace(kind=Kind.CHUNK)]
    )
    assert tree in mark
    mark.keep(volume.id, snapshot_needs(head_snapshot(store, volume)))
    seen = []
    walk_references(
        list(snapshot_needs(head_snapshot(store, volume))),
        lambda ref: (
            seen.append(ref)
            or (
                None if ref.kind == Kind.CHUNK else store.objects_of(volume.id).load_object(ref.oid)
            )
        ),  # type: ignore[func-returns-value]
    )
    assert all(reference.oid in mark for reference in seen)


# --- crashes -----------------------------------------------------------------

GC_AND_DIE = """
    import os, sys, time
    from volfs.store.contract.care import GcOptions
    from volfs.store.registry import open_store
    from volfs.volume.gc import Mark
    store = open_store(sys.argv[1])
    steps = []
    def die(progress):
        if len(steps) == int(sys.argv[2]):
            os._exit(9)
        steps.append(progress)
    store.care.collect(Mark(store), GcOptions(time.time_ns(), 0), die)
    os._exit(0)
"""


def test_dying_at_any_step_loses_nothing(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    """Dolt #11070, S3QL #329: gc is killed, and the next one goes on."""
    publish_files(store, volume, {"f": noise(30_000), "d/g": noise(3000, 1)})
    make_garbage(store)
    made = collect_garbage(store)
    assert made.rewritten_packs
    publish_files(store, volume, {"later": noise(30_000, 2)})
    make_garbage(store, "more")
    steps = 0
    while die_after(steps, shutil.copytree(store.url, tmp_path / f"{steps}"), volume):
        steps += 1
    assert steps > 5


def die_after(steps: int, path: Path, volume: VolumeRecord) -> bool:
    """Kill gc after so many steps, and look at the store; False if there are not so many."""
    status = run_python(GC_AND_DIE, str(path), str(steps))
    with closing(open_store(str(path))) as store:
        assert check_store(store).is_clean
        publish_files(store, volume, {"after": noise(5000, steps)})
        collect_garbage(store, grace=0)
        assert check_store(store).is_clean
        assert read_file(store, volume, "f") == noise(30_000)
        assert store.care.undelete().packs == 0
        assert sum(pack_files(store).values()) < BIG
    return status == 9
