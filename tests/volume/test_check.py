"""check: finds what is wrong, names what it touches, and costs by distinct objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.damage import damage_object
from tests.volume.shortcuts import head_snapshot, make_file, noise, publish_files, put_bytes
from tests.volume.test_edit import link_twice
from volfs.model.entry import Entry, Extent, FileKind, replace, with_tree
from volfs.model.manifest import encode_manifest
from volfs.model.objects import Kind, Oid
from volfs.model.progress import Progress
from volfs.model.references import iter_references
from volfs.model.tree import build_tree
from volfs.store.contract.lease import Lease, Need
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import CheckReport, check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.history import load_manifest
from volfs.volume.version_reader import Reader
from volfs.volume.volumes import create_volume


def test_a_whole_store_is_clean_and_counted(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/f": noise(700_000), "g": b"small"})
    link_twice(store, create_volume(store, "links"))
    report = check_store(store)
    assert report.is_clean
    assert (report.volumes, report.versions) == (2, 4)
    assert report.bytes > 700_000


def test_progress_ends_at_the_whole(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": noise(100_000)})
    seen: list[Progress] = []
    check_store(store, seen.append)
    assert seen[-1].bytes == seen[-1].bytes_total > 100_000


def damage(store: Store, oid: Oid) -> CheckReport:
    """Flip a byte in the record of an object; what a fresh check finds."""
    path = Path(store.url)
    store.close()
    damage_object(path, oid)
    fresh = open_store(str(path))
    try:
        return check_store(fresh)
    finally:
        fresh.close()


@pytest.mark.damaged
def test_a_damaged_chunk_names_its_files_and_versions(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"other": noise(3000, 9)})
    publish_files(store, volume, {"d/f": noise(3000), "d/twin": noise(3000), "d/g": noise(3000, 1)})
    publish_files(store, volume, {"later": b""})
    publish_files(store, volume, {"d/twin": None})
    entry = Reader(store.objects_of(volume.id).load_object).get_path(
        head_snapshot(store, volume), (b"d", b"f")
    )
    report = damage(store, Oid(entry.extents[0].oid))
    found = {(p.volume, p.path, p.versions) for p in report.problems}
    assert found == {("data", "d/f", (2, 3, 4)), ("data", "d/twin", (2, 3))}
    assert [item.oid for item in report.damage] == [entry.extents[0].oid]


@pytest.mark.damaged
def test_a_damaged_tree_names_its_directory(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"d/e/f": b"1", "g": b"2"})
    directory = Reader(store.objects_of(volume.id).load_object).get_path(
        head_snapshot(store, volume), (b"d", b"e")
    )
    report = damage(store, directory.tree)
    assert [(p.path, p.versions, p.oid) for p in report.problems] == [("d/e", (1,), directory.tree)]


@pytest.mark.damaged
def test_a_damaged_manifest_names_its_version(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": b"1"})
    middle = store.refs.get_head(volume.id)
    publish_files(store, volume, {"g": b"1"})
    report = damage(store, middle.manifest)
    assert [(p.volume, p.path, p.versions) for p in report.problems] == [
        ("data", "(manifest)", (1,))
    ]


@pytest.mark.damaged
def test_a_damaged_page_and_chunk_list_are_named(store: Store, volume: VolumeRecord) -> None:
    pieces = [noise(65_536, seed) for seed in range(6)]
    with Edit(store, volume) as edit:
        edit.put((b"long",), edit.writer.write_stream(make_file(), pieces))
        many = edit.make_directories((b"many",))
        for number in range(2000):
            edit.bind(many, (b"many", b"%d" % number), make_file())
        edit.commit(CommitNote())
    reader = Reader(store.objects_of(volume.id).load_object)
    snapshot = head_snapshot(store, volume)
    pages = reader.get_tree(reader.get_path(snapshot, (b"many",)).tree).pages
    assert len(pages) > 1
    long = reader.get_path(snapshot, (b"long",))
    assert long.root
    report = damage(store, Oid(pages[1].oid))
    assert [p.path for p in report.problems] == ["many"]
    fresh = open_store(store.url)
    report = damage(fresh, Oid(long.root))
    assert [p.path for p in report.problems] == ["long", "many"]


@pytest.mark.damaged
def test_damage_that_no_version_needs_is_damage_all_the_same(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"f": noise(3000)})
    entry = Reader(store.objects_of(volume.id).load_object).get_path(
        head_snapshot(store, volume), (b"f",)
    )
    store.refs.delete_volume("data")
    report = damage(store, Oid(entry.extents[0].oid))
    assert report.damage
    assert report.problems == []
    assert not report.is_clean


# --- wrong in itself --------------------------------------------------------


def publish_root(
    store: Store, volume: VolumeRecord, entries: list[Entry], **fields: object
) -> None:
    """A version of our own making, right or wrong."""
    head = store.refs.get_head(volume.id)
    old = load_manifest(store.objects_of(volume.id), head.manifest)
    with store.open_upload(volume.id) as upload:
        built = build_tree(upload.put_object, entries)
        manifest = replace(
            old,
            version=head.version + 1,
            parent=head.manifest,
            root=with_tree(old.root, built.oid, built.totals),
        )
        manifest = replace(manifest, **fields)
        oid = upload.put_object(Kind.MANIFEST, encode_manifest(manifest))
        store.refs.publish(upload, volume.id, head, Head(head.version + 1, oid))


def problems(store: Store) -> list[tuple[str, str]]:
    report = check_store(store)
    assert not report.damage
    return [(problem.path, problem.problem) for problem in report.problems]


@pytest.mark.damaged
def test_a_missing_chunk_is_found(store: Store, volume: VolumeRecord) -> None:
    extents = (Extent(2000, b"\7" * 32, 0),)
    publish_root(store, volume, [replace(make_file(), name=b"f", size=2000, extents=extents)])
    assert problems(store) == [("f", "missing chunk")]


@pytest.mark.damaged
def test_a_missing_tree_is_found(store: Store, volume: VolumeRecord) -> None:
    publish_root(store, volume, [Entry(b"d", FileKind.DIRECTORY, 0o755, root=b"\7" * 32)])
    ((path, problem),) = problems(store)
    assert path == "d"
    assert "directory" in problem


@pytest.mark.damaged
def test_sums_that_do_not_fit_are_found(store: Store, volume: VolumeRecord) -> None:
    wrong = Entry(b"d", FileKind.DIRECTORY, 0o755, files=1)
    publish_root(store, volume, [wrong])
    assert problems(store) == [("d", "directory: its sums are not those of its entries")]


@pytest.mark.damaged
def test_a_root_whose_sums_do_not_fit_is_found(store: Store, volume: VolumeRecord) -> None:
    root = load_manifest(store.objects_of(volume.id), store.refs.get_head(volume.id).manifest).root
    publish_root(store, volume, [], root=replace(root, content_bytes=5))
    assert problems(store) == [(".", "directory: its sums are not those of its entries")]


@pytest.mark.damaged
def test_links_that_do_not_fit_are_found(store: Store, volume: VolumeRecord) -> None:
    names = [Entry(name, FileKind.FILE, group=7) for name in (b"a", b"b")]
    record = replace(make_file(), name=b"%016x" % 7, links=3)
    stray = replace(make_file(), name=b"%016x" % 8, links=1)
    with store.open_upload(volume.id) as upload:
        links = build_tree(upload.put_object, [record, stray])
        head = store.refs.get_head(volume.id)
        # Indexed by a version of its own, so that the next may name it.
        new = replace(
            load_manifest(store.objects_of(volume.id), head.manifest),
            version=1,
            links=links.oid,
            link_files=2,
        )
        oid = upload.put_object(Kind.MANIFEST, encode_manifest(new))
        store.refs.publish(upload, volume.id, head, Head(1, oid))
    publish_root(store, volume, names, links=links.oid, link_files=1)
    publish_root(store, volume, names)
    text = "\n".join(problem for _, problem in problems(store))
    assert "group 7 has 2 names, its record says 3" in text
    assert "has a record and no names" in text
    assert "the manifest has other sums" in text


@pytest.mark.damaged
def test_a_manifest_of_another_version_is_found(store: Store, volume: VolumeRecord) -> None:
    publish_root(store, volume, [], version=9)
    assert problems(store) == [("(manifest)", f"it is of version 9 of {volume.id}")]


def test_the_cost_follows_distinct_objects(store: Store, volume: VolumeRecord) -> None:
    with Edit(store, volume) as edit:
        for number in range(50):
            put_bytes(edit, f"d{number}/f", noise(2000, number))
        edit.commit(CommitNote())
    for number in range(20):
        publish_files(store, volume, {"d7/f": b"%d" % number})
    loads = []
    load = store.objects_of(volume.id).load_object

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(store.objects_of(volume.id), name)

        def load_object(self, oid: Oid) -> bytes:
            loads.append(oid)
            return load(oid)

    class Seen:
        def objects_of(self, volume_id: str) -> Counting:
            return Counting()

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

    assert check_store(Seen()).is_clean  # type: ignore[arg-type]
    # 22 manifests, 50 trees, and for each later version a root and one directory.
    assert len(loads) == len(set(loads)) < 22 + 50 + 2 * 21 + 1


@pytest.mark.damaged
@pytest.mark.parametrize("kind", [Kind.CHUNK, Kind.TREE, Kind.CHUNK_LIST])
def test_what_only_a_mount_needs_is_verified(
    store: Store, volume: VolumeRecord, kind: Kind
) -> None:
    """As a local tree, or content below an overlay: in no version any more."""
    publish_files(store, volume, {"f": noise(700_000)})
    snapshot = head_snapshot(store, volume)
    entry = Reader(store.objects_of(volume.id).load_object).get_path(snapshot, (b"f",))
    chunk_list = Oid(entry.root)
    data = store.objects_of(volume.id).load_object(chunk_list)
    below = next(iter_references(Kind.CHUNK_LIST, data))
    need, victim = {
        Kind.TREE: (snapshot.root.tree, snapshot.root.tree),
        Kind.CHUNK_LIST: (chunk_list, below.oid),
        Kind.CHUNK: (below.oid, below.oid),
    }[kind]
    publish_files(store, volume, {"f": None})
    store.refs.remove_versions(volume.id, [1])
    store.refs.delete_volume("data")
    store.leases.put(Lease("session", volume.id, (), (Need(kind, need),)))
    assert check_store(store).is_clean
    report = damage(store, victim)
    assert [(p.path.split(")")[0], p.oid) for p in report.problems] == [("(mount session", victim)]
