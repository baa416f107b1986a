"""Catalogs and versions that somebody made up: every checksum is right, what they say is not.

The decoders alone are for ``test_fuzz.py``; here is whoever believes them: the
mount that takes an overlay over, ``check``, ``get``, ``diff`` and the reader.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import lmdb
import msgspec

from tests.crash.children import first_seed, is_long
from tests.fault.forks import in_fork
from tests.fault.mutations import mutate
from tests.harness.rig import Rig, list_tree
from tests.volume.shortcuts import publish_files
from volfs.errors import VolfsError
from volfs.model.diff import diff_directories
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot, decode_manifest, encode_manifest
from volfs.model.objects import Kind, Oid
from volfs.model.references import Reference, iter_manifest_references, walk_references
from volfs.model.tree import build_tree, iter_entries
from volfs.store.checked_lmdb.checksum import add_checksum, strip_checksum
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.vfs.catalog import MAP_SIZE
from volfs.vfs.inode import Directory
from volfs.volume.check import check_store
from volfs.volume.get import get_to_local
from volfs.volume.history import load_manifest
from volfs.volume.version_reader import Reader, read_range
from volfs.volume.volumes import create_volume

BLOCK = 200

Try = Callable[[Random, str], None]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A place for what is written and read many times."""
    directory = Path(tempfile.mkdtemp(prefix="volfs-hostile-", dir="/dev/shm"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def prove(prepare: Callable[[Path], Try], short: int) -> None:
    """``prepare`` a place and try so many things there; again in a new place for the next."""
    times = short * 300 if is_long() else short
    for start in range(0, times, BLOCK):
        numbers = range(start, min(start + BLOCK, times))
        with in_memory() as place:
            in_fork(lambda p=place, n=numbers: repeat(prepare(p), n), str(first_seed()))


def repeat(act: Try, numbers: range) -> None:
    for number in numbers:
        seed = f"{first_seed()}/{number}"
        act(Random(seed), seed)


def tolerate(question: Callable[[], object], seed: str) -> None:
    """An answer, or an error of volfs."""
    try:
        question()
    except VolfsError:
        pass
    except BaseException as error:
        raise AssertionError(seed) from error


# --- catalogs ---------------------------------------------------------------


def open_rig(store: Store, session: Path) -> Rig:
    rig = Rig(store, store.refs.get_volume("data"), session, lambda: 1)
    rig.strict = False
    return rig


def leave_overlay(store: Store, session: Path) -> None:
    """What a mount records of one thing of each sort."""
    rig = open_rig(store, session)
    rig.mkdir((b"made",))
    rig.write((b"made", b"new"), bytes(100_000))
    rig.write((b"d", b"f1"), b"over", 70_000)
    rig.link((b"made", b"new"), (b"linked",))
    rig.make((b"soft",), FileKind.SYMLINK, target=b"made/new")
    rig.unlink((b"d", b"f2"))
    rig.rename((b"d", b"f3"), (b"moved",))
    rig.flush()
    rig.close()


def load_rows(catalog: Path) -> dict[bytes, bytes]:
    with lmdb.open(str(catalog), map_size=MAP_SIZE) as env, env.begin() as txn:
        return {key: strip_checksum(key, value) for key, value in txn.cursor()}


def make_up(random: Random, rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Some rows changed, dropped, or under another key."""
    made = dict(rows)
    for _ in range(random.randint(1, 3)):
        key = random.choice(sorted(made))
        match random.randrange(6):
            case 0:
                del made[key]
            case 1:
                made[mutate(random, [key])[:400] or b"i"] = made[key]
            case 2:
                made[key] = made[random.choice(sorted(made))]
            case 3:
                made[key] = change_field(random, made[key])
            case _:
                made[key] = mutate(random, [made[key]])
        if not made:
            return dict(rows)
    return made


def change_field(random: Random, row: bytes) -> bytes:
    """The same structure with another value in one place."""
    try:
        value = msgspec.msgpack.decode(row)
    except ValueError:
        return mutate(random, [row])
    here = value
    while isinstance(here, list) and here:
        at = random.randrange(len(here))
        if isinstance(here[at], list) and here[at] and random.random() < 0.9:
            here = here[at]
            continue
        odd = (0, 1, -1, -2, 7, 1 << 20, 1 << 62, (1 << 63) - 1, b"", b"/", b"..", b"x" * 300, [])
        here[at] = random.choice(odd)
        break
    return msgspec.msgpack.encode(value)


def write_rows(catalog: Path, rows: dict[bytes, bytes]) -> None:
    shutil.rmtree(catalog, ignore_errors=True)
    with (
        lmdb.open(str(catalog), map_size=MAP_SIZE, sync=False) as env,
        env.begin(write=True) as txn,
    ):
        for key, row in rows.items():
            txn.put(key, add_checksum(key, row))


def use_overlay(store: Store, session: Path) -> None:
    rig = open_rig(store, session)
    try:
        list_tree(rig)
        rig.write((b"more",), b"more")
        rig.flush()
        rig.commit()
    finally:
        rig.close()


def make_store(path: Path) -> Store:
    store = open_store(str(path), create=True)
    volume = create_volume(store, "data", chunk_bits=12)
    files: dict[str, bytes | None] = {f"d/f{n}": bytes([n]) * 40_000 * n for n in range(4)}
    publish_files(store, volume, files | {f"many/{n}": b"%d" % n for n in range(300)})
    return store


def try_catalogs(place: Path) -> Try:
    session, scratch = place / "session", place / "scratch"
    session.mkdir()
    store = make_store(place / "store")
    leave_overlay(store, session)
    rows = load_rows(session / "catalog")
    shutil.copytree(session / "scratch", scratch)

    def try_one(random: Random, seed: str) -> None:
        write_rows(session / "catalog", make_up(random, rows))
        shutil.rmtree(session / "scratch")
        shutil.copytree(scratch, session / "scratch")
        tolerate(lambda: use_overlay(store, session), seed)

    return try_one


def test_catalogs_that_were_made_up() -> None:
    prove(try_catalogs, 200)


# --- versions ---------------------------------------------------------------


class HostilePublisher:
    """Publishes versions in which one object is not what a writer of ours would write."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.volume = store.refs.get_volume("data")
        self.head = store.refs.get_head(self.volume.id)
        self.manifest = decode_manifest(
            store.objects_of(self.volume.id).load_object(self.head.manifest)
        )
        self.objects = sorted(self._find())

    def _find(self) -> set[tuple[Kind, Oid]]:
        found: set[tuple[Kind, Oid]] = set()

        def visit(reference: Reference) -> bytes | None:
            if reference.kind is Kind.CHUNK:
                return None
            found.add(tuple(reference))
            return self.store.objects_of(self.volume.id).load_object(reference.oid)

        walk_references(list(iter_manifest_references(self.manifest)), visit)
        return found

    def publish(self, random: Random) -> None:
        kind, oid = random.choice([*self.objects, (Kind.MANIFEST, self.head.manifest)])
        data = self._change(random, self.store.objects_of(self.volume.id).load_object(oid))
        head = self.store.refs.get_head(self.volume.id)
        with self.store.open_upload(self.volume.id) as upload:
            new = upload.put_object(kind, data)
            if kind is not Kind.MANIFEST:
                new = upload.put_object(Kind.MANIFEST, self._refer(random, kind, new, upload))
            self.store.refs.publish(upload, self.volume.id, head, Head(head.version + 1, new))

    def _change(self, random: Random, data: bytes) -> bytes:
        for _ in range(random.randint(1, 3)):
            data = change_field(random, data) if random.random() < 0.7 else mutate(random, [data])
        return data

    def _refer(self, random: Random, kind: Kind, oid: Oid, upload: Upload) -> bytes:
        """A manifest of a version that has the object."""
        root = self.manifest.root
        if kind is Kind.CHUNK_LIST:
            size = random.choice((1, 4096, 262_144, 300_000, 1 << 24))
            entry = Entry(b"file", FileKind.FILE, 0o644, size=size, root=oid)
            oid = build_tree(upload.put_object, [entry]).oid
        links = oid if random.random() < 0.2 else self.manifest.links
        made = msgspec.structs.replace(root, root=oid)
        return encode_manifest(msgspec.structs.replace(self.manifest, root=made, links=links))


def read_newest(store: Store, volume: VolumeRecord) -> None:
    """As ``get`` of every file, but little of each."""
    reader = Reader(store.objects_of(volume.id).load_object)
    snapshot = load_manifest(
        store.objects_of(volume.id), store.refs.get_head(volume.id).manifest
    ).snapshot
    waiting = [snapshot.root]
    while waiting:
        for raw in iter_entries(reader.get_tree, waiting.pop().tree):
            entry = reader.resolve(snapshot, raw)
            if entry.is_directory:
                waiting.append(entry)
            elif entry.kind == FileKind.FILE:
                for offset in (0, entry.size // 2, max(0, entry.size - 10_000)):
                    read_range(reader, store.objects_of(volume.id), entry, offset, 100_000)


def use_mount(store: Store, session: Path) -> None:
    shutil.rmtree(session, ignore_errors=True)
    session.mkdir()
    rig = open_rig(store, session)
    try:
        for name in rig.list():
            inode = rig.get((name,))
            if isinstance(inode, Directory):
                rig.list((name,))
                rig.write((name, b"more"), b"more")
        rig.rename((b"d",), (b"e",))
        rig.commit()
        rig.reload()
    finally:
        rig.close()


def try_versions(place: Path) -> Try:
    store = make_store(place / "store")
    made = HostilePublisher(store)
    volume, session, out = made.volume, place / "session", place / "out"

    def find_newest() -> Snapshot:
        return load_manifest(
            store.objects_of(volume.id), store.refs.get_head(volume.id).manifest
        ).snapshot

    def diff() -> None:
        reader = Reader(store.objects_of(volume.id).load_object)
        list(diff_directories(reader.get_tree, made.manifest.root.tree, find_newest().root.tree))

    def try_one(random: Random, seed: str) -> None:
        made.publish(random)
        tolerate(lambda: read_newest(store, volume), seed)
        tolerate(lambda: get_to_local(store, volume, find_newest(), (), out, force=True), seed)
        tolerate(diff, seed)
        tolerate(lambda: use_mount(store, session), seed)
        shutil.rmtree(out, ignore_errors=True)
        store.refs.remove_versions(volume.id, range(2, store.refs.get_head(volume.id).version))
        if random.random() < 0.1:
            check_store(store)

    return try_one


def test_versions_that_were_made_up() -> None:
    prove(try_versions, 150)
