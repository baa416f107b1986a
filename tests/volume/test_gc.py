"""gc keeps what versions, tags, mounts and unfinished commits need."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.volume.garbage import BIG, make_garbage, pack_files, run_python
from tests.volume.shortcuts import head_snapshot, list_paths, noise, publish_files, read_file
from tests.volume.test_edit import link_twice
from volfs.model.objects import Oid
from volfs.model.progress import Progress
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage
from volfs.volume.leases import snapshot_needs
from volfs.volume.version_reader import Reader
from volfs.volume.volumes import create_volume, delete_volume


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


# --- beside commits ----------------------------------------------------------

COMMIT = """
    import random, sys
    from tests.volume.shortcuts import put_bytes
    from volfs.errors import MissingObjectError, NotFoundError
    from volfs.store.contract.lease import Lease
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
