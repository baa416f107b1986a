"""What every engine promises of gc and repair (volfs/store/contract/care.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.harness.uploads import die_with
from tests.store.contract import (
    add,
    list_damage,
    make_record,
    noise,
    publish_next,
    run_python,
    store,
    url,
    volume,
)
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    DamagedObjectError,
    MissingObjectError,
    VolumeInUseError,
)
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.progress import Progress
from volfs.model.references import Reference
from volfs.store.contract.care import GcOptions, GcReport
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]
DAY = 86_400 * 10**9
MIB = 1 << 20


class LiveObjects:
    """What is live, in a store without trees: the roots and what the test says."""

    def __init__(self, *oids: Oid, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.oids = set(oids)
        self.meanwhile = meanwhile
        self.calls = 0

    def __contains__(self, oid: Oid) -> bool:
        return oid in self.oids

    def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
        self.oids.update(oid for _, oid in roots)
        self.calls += 1
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()


def collect(
    store: Store, live: LiveObjects, *, now: int = DAY, grace: int = DAY, dry_run: bool = False
) -> GcReport:
    return store.care.collect(live, GcOptions(now, grace, dry_run))


LOAD = """
    import sys
    from volfs.errors import DataError
    from volfs.store.registry import open_store
    try:
        objects = open_store(sys.argv[1]).objects_of(sys.argv[3])
        print(len(objects.load_object(bytes.fromhex(sys.argv[2]))))
    except DataError as error:
        print(type(error).__name__)
"""


# --- what goes and what stays -----------------------------------------------


def test_nothing_dead_changes_nothing(store: Store, volume: str) -> None:
    oids = add(store, volume, noise(1000), noise(2000))
    report = collect(store, LiveObjects(*oids), grace=0)
    assert (report.dropped_packs, report.rewritten_packs, report.deleted_packs) == (0, 0, 0)
    assert report.live_objects == 4
    assert store.objects_of(volume).load_object(oids[0]) == noise(1000)


def test_a_pack_with_nothing_in_use_is_dropped(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    report = collect(store, LiveObjects())
    assert (report.dropped_packs, report.waiting_packs, report.deleted_packs) == (1, 1, 0)
    assert report.quarantined_bytes > MIB
    assert not store.objects_of(volume).contains(oid)
    assert list_damage(store) == []


def test_what_is_in_quarantine_can_be_read_to_the_end(store: Store, url: str, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    collect(store, LiveObjects(), now=DAY)
    assert run_python(LOAD, url, oid.hex(), volume) == f"{MIB}\n"
    assert store.objects_of(volume).load_object(oid) == noise(MIB)
    collect(store, LiveObjects(), now=2 * DAY)
    with pytest.raises(MissingObjectError):
        store.objects_of(volume).load_object(oid)
    assert run_python(LOAD, url, oid.hex(), volume) == "MissingObjectError\n"


def test_after_the_grace_it_is_deleted(store: Store, volume: str) -> None:
    add(store, volume, noise(MIB))
    collect(store, LiveObjects(), now=DAY)
    assert collect(store, LiveObjects(), now=2 * DAY - 1).deleted_packs == 0
    report = collect(store, LiveObjects(), now=2 * DAY)
    assert (report.deleted_packs, report.waiting_packs) == (1, 0)
    assert report.deleted_bytes > MIB
    assert store.care.undelete().packs == 0


def test_a_pack_that_is_mostly_dead_is_rewritten(store: Store, volume: str) -> None:
    kept, *others = add(store, volume, noise(300_000), noise(MIB), noise(2 * MIB))
    assert store.objects_of(volume).load_object(kept) == noise(300_000)
    report = collect(store, LiveObjects(kept), grace=0)
    assert (report.rewritten_packs, report.deleted_packs) == (1, 1)
    assert 300_000 < report.rewritten_bytes < 301_000
    # From the place that was remembered, which is no more.
    assert store.objects_of(volume).load_object(kept) == noise(300_000)
    assert store.objects_of(volume).read_object(kept, 5, 10) == noise(300_000)[5:15]
    assert not any(map(store.objects_of(volume).contains, others))


def test_a_pack_that_is_mostly_live_stays(store: Store, volume: str) -> None:
    kept, dead = add(store, volume, noise(MIB), noise(300_000))
    report = collect(store, LiveObjects(kept), grace=0)
    assert (report.rewritten_packs, report.dropped_packs) == (0, 0)
    assert store.objects_of(volume).load_object(dead) == noise(300_000)


def test_copies_are_bounded(store: Store, volume: str) -> None:
    """What a run may not copy is for the next run."""
    kept, _ = add(store, volume, noise(300_000), noise(MIB))
    for most, rewritten in ((299_000, 0), (350_000, 1), (350_000, 0)):
        options = GcOptions(DAY, 0, max_rewrite=most)
        dry = store.care.collect(LiveObjects(kept), options._replace(dry_run=True))
        assert store.care.collect(LiveObjects(kept), options) == dry
        assert dry.rewritten_packs == rewritten
        assert store.objects_of(volume).load_object(kept) == noise(300_000)


def test_what_is_put_aside_is_there_for_those_who_need_it(store: Store, volume: str) -> None:
    kept, dead = add(store, volume, noise(MIB, 1), noise(MIB, 2))
    objects = store.objects_of(volume)
    assert objects.is_there(kept)
    assert not objects.is_there(compute_oid(Kind.CHUNK, b"never"))
    collect(store, LiveObjects(kept), grace=0)
    assert objects.is_there(kept)
    collect(store, LiveObjects(), grace=0)
    assert not objects.is_there(kept)
    assert not objects.is_there(dead)


def test_gc_converges(store: Store, volume: str) -> None:
    kept, _ = add(store, volume, noise(300_000), noise(MIB))
    collect(store, LiveObjects(kept), grace=0)
    report = collect(store, LiveObjects(kept), grace=0)
    assert (report.rewritten_packs, report.dropped_packs, report.deleted_packs) == (0, 0, 0)


@pytest.mark.parametrize("grace", [0, DAY])
def test_a_dry_run_equals_the_real_one(store: Store, volume: str, grace: int) -> None:
    add(store, volume, noise(MIB, 7))
    collect(store, LiveObjects(), now=DAY)
    kept, _ = add(store, volume, noise(300_000), noise(MIB))
    add(store, volume, noise(100_000, 1))
    for now in (DAY + 1, 3 * DAY):
        dry = collect(store, LiveObjects(kept), now=now, grace=grace, dry_run=True)
        assert collect(store, LiveObjects(kept), now=now, grace=grace, dry_run=True) == dry
        assert collect(store, LiveObjects(kept), now=now, grace=grace) == dry


def test_roots_are_versions_heads_and_leases(store: Store, volume: str) -> None:
    (needed,) = add(store, volume, noise(MIB))
    other = make_record(2)
    store.refs.create_volume(other, b"first of another")
    store.leases.put(Lease("session", volume, (1,), (Need(Kind.CHUNK, needed),)))
    live = LiveObjects()
    collect(store, live, grace=0)
    heads = [*store.refs.iter_versions(volume), *store.refs.iter_versions(other.id)]
    assert live.oids == {needed, *(head.manifest for head in heads)}
    assert store.objects_of(volume).load_object(needed) == noise(MIB)


def test_a_rewritten_object_is_read_by_another_process(store: Store, url: str, volume: str) -> None:
    kept, _ = add(store, volume, noise(5000), noise(MIB))
    collect(store, LiveObjects(kept), grace=0)
    assert run_python(LOAD, url, kept.hex(), volume) == "5000\n"


# --- undelete ---------------------------------------------------------------


def test_undelete_brings_everything_back(store: Store, volume: str) -> None:
    oids = add(store, volume, noise(300_000), noise(MIB), noise(2 * MIB))
    collect(store, LiveObjects(oids[0]))
    result = store.care.undelete()
    assert (result.packs, result.objects, result.missing_packs) == (1, 2, 0)
    for oid, size in zip(oids, (300_000, MIB, 2 * MIB), strict=True):
        assert store.objects_of(volume).load_object(oid) == noise(size)
    assert store.care.undelete().packs == 0


def test_undelete_keeps_what_was_put_again_meanwhile(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    collect(store, LiveObjects())
    add(store, volume, noise(MIB))
    assert store.care.undelete().objects == 0
    assert store.objects_of(volume).load_object(oid) == noise(MIB)


# --- beside commits ---------------------------------------------------------


def test_a_dedup_hit_on_what_gc_condemned_saves_the_chunk(store: Store, volume: str) -> None:
    """doltlite #1547: an unfinished commit relies on what nothing else refers to."""
    (oid,) = add(store, volume, noise(MIB))
    with store.open_upload(volume) as upload:
        upload.put_object(Kind.CHUNK, noise(MIB))
        assert upload.new_objects == 0
        collect(store, LiveObjects())
        assert not store.objects_of(volume).contains(oid)
        publish_next(store, volume, upload)
    assert store.objects_of(volume).load_object(oid) == noise(MIB)
    assert list_damage(store) == []
    collect(store, LiveObjects(oid), now=9 * DAY, grace=0)
    assert store.objects_of(volume).load_object(oid) == noise(MIB)


def test_a_dedup_hit_on_what_gc_deleted_fails_the_publish(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        upload.put_object(Kind.CHUNK, noise(MIB))
        collect(store, LiveObjects(), grace=0)
        with pytest.raises(MissingObjectError, match="try again"):
            publish_next(store, volume, upload)
        assert store.refs.get_head(volume) == head
    add(store, volume, noise(MIB))
    assert store.objects_of(volume).load_object(oid) == noise(MIB)


PUBLISH = """
    import random, sys
    from volfs.model.objects import Kind
    from volfs.store.contract.refs import Head
    from volfs.store.registry import open_store
    store, volume, size = open_store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        upload.put_object(Kind.CHUNK, random.Random(f"0 {size}").randbytes(size))
        new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, b"meanwhile"))
        store.refs.publish(upload, volume, head, new)
    store.close()
"""


def test_what_is_published_while_gc_marks_is_marked_too(
    store: Store, url: str, volume: str
) -> None:
    """ZeroFS: the race of gc with a publication that is under way."""
    (oid,) = add(store, volume, noise(MIB))
    live = LiveObjects()

    def publish() -> None:
        run_python(PUBLISH, url, volume, str(MIB))
        live.oids.add(oid)

    live.meanwhile = publish
    collect(store, live, grace=0)
    assert store.refs.get_head(volume).version == 2
    assert (
        store.objects_of(volume).load_object(store.refs.get_head(volume).manifest) == b"meanwhile"
    )
    assert store.objects_of(volume).load_object(oid) == noise(MIB)


def test_what_becomes_live_after_it_was_planned_to_go_stays(
    store: Store, url: str, volume: str
) -> None:
    (oid,) = add(store, volume, noise(MIB))
    live = LiveObjects()

    def publish_once(progress: Progress) -> None:
        if oid not in live.oids:
            run_python(PUBLISH, url, volume, str(MIB))
            live.oids.add(oid)

    store.care.collect(live, GcOptions(DAY, 0), publish_once)
    assert store.refs.get_head(volume).manifest in live.oids
    assert live.calls == 2
    assert store.objects_of(volume).load_object(oid) == noise(MIB)


COLLECT = """
    import sys
    from volfs.store.contract.care import GcOptions
    from volfs.store.registry import open_store
    class LiveObjects:
        oids = set()
        def keep(self, volume_id, roots): self.oids.update(oid for _, oid in roots)
        def __contains__(self, oid): return oid in self.oids
    report = open_store(sys.argv[1]).care.collect(LiveObjects(), GcOptions(1, 0))
    print(report.busy_packs)
"""


def test_an_open_upload_is_left_alone(store: Store, url: str, volume: str) -> None:
    add(store, volume, noise(MIB))
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.CHUNK, noise(2 * MIB))
        assert run_python(COLLECT, url) == "1\n"
        publish_next(store, volume, upload)
    assert store.objects_of(volume).load_object(oid) == noise(2 * MIB)


def test_what_a_dead_upload_left_is_dropped(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        upload.put_object(Kind.CHUNK, noise(2 * MIB))
        die_with(upload)
    report = collect(store, LiveObjects(), grace=0)
    assert (report.dropped_packs, report.deleted_packs) == (1, 1)
    assert report.deleted_bytes > 2 * MIB


def test_one_gc_at_a_time(store: Store, volume: str) -> None:
    add(store, volume, noise(MIB))
    refused: list[Progress] = []

    def try_others(progress: Progress) -> None:
        with pytest.raises(ConflictError, match="running"):
            store.care.collect(LiveObjects(), GcOptions(DAY, 0))
        with pytest.raises(ConflictError, match="running"):
            store.care.repair()
        with pytest.raises(ConflictError):
            store.care.undelete()
        refused.append(progress)

    store.care.collect(LiveObjects(), GcOptions(DAY, 0), try_others)
    assert refused


@pytest.mark.parametrize("failing", [1, 2])
def test_an_error_while_marking_deletes_nothing(
    store: Store, url: str, volume: str, failing: int
) -> None:
    """JuiceFS #6479, at the level of the engine: an incomplete mark ends gc."""
    oids = add(store, volume, noise(MIB), noise(300_000))

    class Failing(LiveObjects):
        def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
            super().keep(volume_id, roots)
            if self.calls == failing:
                raise DamagedObjectError("a tree")

    def publish(progress: Progress) -> None:
        run_python(PUBLISH, url, volume, str(MIB))

    with pytest.raises(DamagedObjectError):
        store.care.collect(Failing(), GcOptions(DAY, 0), publish)
    for oid, size in zip(oids, (MIB, 300_000), strict=True):
        assert store.objects_of(volume).load_object(oid) == noise(size)
    assert store.care.undelete().packs == 0


# --- repair -----------------------------------------------------------------


def test_repairing_what_is_whole_changes_nothing(store: Store, volume: str) -> None:
    add(store, volume, noise(1000))
    with store.open_upload(volume) as upload:
        upload.put_object(Kind.CHUNK, noise(2000))
    assert not store.care.repair().has_changed


def test_repair_leaves_the_quarantine_alone(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    collect(store, LiveObjects())
    assert not store.care.repair().has_changed
    assert not store.objects_of(volume).contains(oid)
    assert store.care.undelete().objects == 1


def test_nothing_is_lost_that_nobody_had(store: Store) -> None:
    assert not store.care.is_lost(compute_oid(Kind.CHUNK, b"never"))


def test_recovered_volumes_are_volumes(store: Store, volume: str) -> None:
    add(store, volume, noise(100))
    heads = list(store.refs.iter_versions(volume))
    assert {head.manifest for head in heads} == {oid for oid, _ in store.care.iter_manifests()}
    record = store.refs.get_volume("volume-1")
    store.refs.put_tag(volume, "one", 1)
    store.refs.delete_volume("volume-1")
    store.care.recover_volume(record, heads, {"one": 1, "gone": 99})
    assert store.refs.get_head(volume) == heads[0]
    assert list(store.refs.iter_versions(volume)) == heads
    assert store.refs.list_tags(volume) == [("one", 1)]


def test_names_and_tags_are_known_beside_the_index(store: Store, volume: str) -> None:
    add(store, volume, noise(100))
    assert store.care.list_named() == {}
    for tag, version in (("a", 0), ("b", 0), ("a", 1)):
        store.refs.put_tag(volume, tag, version, move=True)
    store.refs.delete_tag(volume, "b")
    store.refs.rename_volume("volume-1", "renamed")
    store.refs.create_volume(make_record(2), b"other")
    wanted = {volume: ("renamed", {"a": 1})}
    store.leases.put(Lease("mounted", make_record(2).id))
    with pytest.raises(VolumeInUseError):
        store.refs.delete_volume("volume-2")
    with pytest.raises(AlreadyExistsError):
        store.refs.rename_volume("volume-2", "renamed")
    assert store.care.list_named() == wanted
    store.leases.drop("mounted")
    store.refs.delete_volume("volume-2")
    assert store.care.list_named() == wanted | {make_record(2).id: ("", {})}
    collect(store, LiveObjects())
    assert store.care.list_named() == wanted


def test_a_reopened_store_knows_its_quarantine(store: Store, url: str, volume: str) -> None:
    (oid,) = add(store, volume, noise(MIB))
    collect(store, LiveObjects())
    again = open_store(url)
    assert again.care.undelete().packs == 1
    assert again.objects_of(volume).load_object(oid) == noise(MIB)
    again.close()
