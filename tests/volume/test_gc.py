"""gc keeps what versions, tags, mounts and unfinished commits need, whatever happens to it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from tests.volume.shortcuts import head_snapshot, list_paths, noise, publish_files, read_file
from tests.volume.test_edit import link_twice
from volfs.errors import DamagedObjectError, DataError, MissingObjectError, StoreUnavailableError
from volfs.model.objects import Kind, Oid
from volfs.model.progress import Progress
from volfs.model.references import walk_references
from volfs.store.contract.care import GcReport
from volfs.store.contract.leases import Lease
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import Mark, collect_garbage
from volfs.volume.leases import snapshot_needs
from volfs.volume.version_reader import Reader
from volfs.volume.volumes import create_volume, delete_volume

BIG = 400_000


def pack_files(store: Store) -> dict[str, int]:
    places = (Path(store.url) / "packs").iterdir()
    return {path.name: path.stat().st_size for path in places}


def make_garbage(store: Store, name: str = "garbage") -> None:
    """A volume with a lot in it, deleted."""
    publish_files(store, create_volume(store, name), {"f": noise(3 * BIG, len(name))})
    delete_volume(store, name)


def test_versions_are_kept_whole(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/f": noise(BIG), "small": b"1"})
    publish_files(store, volume, {"d/f": noise(BIG, 1), **{f"many/{n}": b"x" for n in range(900)}})
    link_twice(store, create_volume(store, "links"))
    make_garbage(store)
    report = collect_garbage(store, grace=0)
    assert report.deleted_bytes > BIG
    assert read_file(store, volume, "d/f") == noise(BIG, 1)
    assert check_store(store).is_clean


def test_versions_that_were_removed_free_what_only_they_had(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"keep": noise(BIG), "old": noise(4 * BIG, 1)})
    publish_files(store, volume, {"old": None})
    before = sum(pack_files(store).values())
    assert store.refs.remove_versions(volume.id, [1]) == [1]
    collect_garbage(store, grace=0)
    assert before - sum(pack_files(store).values()) > 4 * BIG
    assert read_file(store, volume, "keep") == noise(BIG)


def test_what_a_tag_names_is_kept(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"old": noise(4 * BIG, 1)})
    publish_files(store, volume, {"old": None})
    store.refs.put_tag(volume.id, "release", 1)
    store.refs.remove_versions(volume.id, [0, 1])
    assert collect_garbage(store, grace=0).deleted_bytes < BIG
    assert check_store(store).is_clean


def test_what_a_mount_shows_is_kept_after_its_volume_was_deleted(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"f": noise(BIG)})
    snapshot = head_snapshot(store, volume)
    session = Path(store.url) / "mounts" / "session"
    session.mkdir(parents=True)
    store.refs.delete_volume("data")
    store.leases.put(Lease(session.name, volume.id, (), snapshot_needs(snapshot)))
    collect_garbage(store, grace=0)
    reader = Reader(store.objects_of(volume.id).load_object)
    entry = reader.get_path(snapshot, (b"f",))
    assert all(store.objects_of(volume.id).contains(Oid(e.oid)) for e in entry.extents)
    session.rmdir()
    report = collect_garbage(store, grace=0)
    assert report.live_objects == 0
    assert report.deleted_bytes > BIG
    assert pack_files(store) == {}


def test_progress_and_a_dry_run_that_equals(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": noise(1000)})
    make_garbage(store)
    files = pack_files(store)
    dry = collect_garbage(store, dry_run=True)
    assert pack_files(store) == files
    seen: list[Progress] = []
    assert collect_garbage(store, report=seen.append) == dry
    assert seen[-1].bytes == seen[-1].bytes_total
    assert dry.quarantined_bytes > BIG


def test_a_dry_run_drops_no_lease_and_counts_as_if_it_had(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"f": noise(BIG)})
    (Path(store.url) / "mounts").mkdir()
    lease = Lease("gone", volume.id, (), snapshot_needs(head_snapshot(store, volume)))
    store.refs.delete_volume("data")
    store.leases.put(lease)
    dry = collect_garbage(store, grace=0, dry_run=True)
    assert store.leases.list_all() == [lease]
    assert collect_garbage(store, grace=0) == dry
    assert dry.deleted_bytes > BIG


def test_a_bulk_deletion_leaves_nothing_dangling(store: Store, volume: VolumeRecord) -> None:
    """JuiceFS #3821: many volumes and versions go at once."""
    publish_files(store, volume, {"f": noise(BIG)})
    for number in range(12):
        other = create_volume(store, f"v{number}")
        publish_files(store, other, {"own": noise(50_000, number), "shared": noise(BIG)})
    for number in range(12):
        delete_volume(store, f"v{number}")
    collect_garbage(store, grace=0)
    assert check_store(store).is_clean
    assert collect_garbage(store, grace=0).deleted_packs == 0


# --- failing closed ---------------------------------------------------------


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


def rows(store: Store) -> tuple[object, dict[str, object]]:
    engine = store._engine  # type: ignore[attr-defined]
    tables = {
        name: engine.environment.open_table(name.encode(), has_checksums=name != "objects")
        for name in TABLES
    }
    return engine.environment, tables


TABLES = ("heads", "versions", "leases", "objects", "packs", "quarantine")


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


def flip(store: Store, oid: Oid) -> None:
    """Damage the stored bytes of an object."""
    entry = store._engine.index.find_entry(oid)  # type: ignore[attr-defined]
    path = Path(store.url) / "packs" / f"{entry.pack:08d}.pack"
    with path.open("r+b") as file:
        file.seek(entry.offset + entry.stored // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def forget(store: Store, oid: Oid) -> None:
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        assert txn.delete(oid, db=tables["objects"])


def find_chunk(store: Store, volume: VolumeRecord, path: bytes) -> Oid:
    reader = Reader(store.objects_of(volume.id).load_object)
    return Oid(reader.get_path(head_snapshot(store, volume), (path,)).extents[0].oid)


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


# --- crashes ----------------------------------------------------------------

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


def run_python(code: str, *arguments: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=False).returncode


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


# --- beside commits ---------------------------------------------------------

COMMIT = """
    import random, sys
    from tests.volume.shortcuts import put_bytes
    from volfs.errors import MissingObjectError, NotFoundError
    from volfs.store.contract.leases import Lease
    from volfs.store.registry import open_store
    from volfs.volume.commit import CommitNote
    from volfs.volume.edit import Edit
    url, name, seed, rounds, patient = sys.argv[1:]
    store = open_store(url)
    volume, chosen = store.refs.get_volume(name), random.Random(seed)

    def commit(path, data):
        try:
            edit = Edit(store, volume)
            # The other one may have removed the version that was the head just now.
            store.leases.put(Lease(seed, volume.id, (edit.head.version,)))
        except (MissingObjectError, NotFoundError):
            return False
        with edit:
            try:
                put_bytes(edit, path, data)
                edit.commit(CommitNote())
            except MissingObjectError:
                if patient == "yes":
                    raise
                return False
        return True

    for number in range(int(rounds)):
        # Few different contents: most are found in the store, dead or alive.
        data = random.Random(chosen.randrange(6)).randbytes(70_000)
        path = f"{seed}/{chosen.randrange(3)}"
        while not commit(path, data):
            pass
        store.refs.remove_versions(volume.id, range(store.refs.get_head(volume.id).version))
    store.leases.drop(seed)
    store.close()
"""
GC_LOOP = """
    import sys
    from volfs.store.registry import open_store
    from volfs.volume.gc import collect_garbage
    store = open_store(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        collect_garbage(store, grace=float(sys.argv[3]))
    store.close()
"""


def race(store: Store, volume: VolumeRecord, *, rounds: int, grace: float) -> None:
    """Committers that find each other's garbage, and gc in a loop; all in processes."""
    url = store.url
    patient = "yes" if grace else "no"
    jobs = [(COMMIT, url, volume.name, str(n), str(rounds), patient) for n in range(2)]
    jobs.append((GC_LOOP, url, str(rounds), str(grace)))
    running = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments])
        for code, *arguments in jobs
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert check_store(store).is_clean
    contents = {random.Random(n).randbytes(70_000) for n in range(6)}
    for path in list_paths(store, volume):
        assert path.endswith("/") or read_file(store, volume, path) in contents
    collect_garbage(store, grace=0)


@pytest.mark.parametrize("grace", [0.0, 3600.0])
def test_gc_in_a_loop_beside_committers(store: Store, volume: VolumeRecord, grace: float) -> None:
    """With grace no commit ever fails; without, it may have to be made again."""
    race(store, volume, rounds=12, grace=grace)


@pytest.mark.slow
@pytest.mark.parametrize("grace", [0.0, 3600.0])
def test_gc_in_a_long_loop_beside_committers(
    store: Store, volume: VolumeRecord, grace: float
) -> None:
    race(store, volume, rounds=200, grace=grace)


COMMIT_F = """
    import sys
    from tests.volume.shortcuts import noise, publish_files
    from volfs.store.registry import open_store
    store = open_store(sys.argv[1])
    publish_files(store, store.refs.get_volume(sys.argv[2]), {"f": noise(400_000)})
    store.close()
"""


def test_a_commit_between_mark_and_sweep_is_safe(store: Store, volume: VolumeRecord) -> None:
    """ZeroFS: gc and a publication that is under way; the content was dead a moment ago."""
    publish_files(store, volume, {"f": noise(BIG)})
    publish_files(store, volume, {"f": None})
    store.refs.remove_versions(volume.id, [1])
    commits = []

    def commit_once(_: Progress) -> None:
        if not commits:
            commits.append(run_python(COMMIT_F, store.url, volume.name))

    collect_garbage(store, grace=0, report=commit_once)
    assert commits == [0]
    assert read_file(store, volume, "f") == noise(BIG)
