"""What others change while volfs walks it: nothing from outside is ever read, written or removed.

Another process swaps directories and files for links and fifos all the time while put, get,
batch uploads and removals go on. Each either does what it should, or says that the tree
changed; whatever they bring is of the tree. ``VOLFS_PROVE=long`` does more rounds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.volume.shortcuts import head_snapshot
from volfs.errors import LocalFileError
from volfs.model.entry import FileKind
from volfs.model.names import parse_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.system.directories import OpenTree, empty_directory
from volfs.volume.get import get_to_local
from volfs.volume.listing import FileEntryType, iter_listing
from volfs.volume.local_listing import iter_files, opened_file
from volfs.volume.put import put_local
from volfs.volume.version_reader import Reader, iter_content_bytes
from volfs.volume.volumes import create_volume

LONG = os.environ.get("VOLFS_PROVE") == "long"
ROUNDS = 2000 if LONG else 100
SECRET = b"of nobody but its owner"
KINDS = ("swap-{}", "swap-file-{}", "swap-{}-fifo")
"""Directories become links to directories, files become links to files, or fifos."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no operation may read or change."""
    top = tmp_path / "outside"
    for number in range(50):
        (top / f"swap-{number}/empty").mkdir(parents=True)
        (top / f"swap-{number}/file").write_bytes(SECRET)
        (top / f"swap-file-{number}").write_bytes(SECRET)
    return top


def make_tree(top: Path, kinds: Sequence[str] = KINDS, each: int = 1) -> Path:
    """``each`` of these kinds, with nothing in them that is not the tree's own."""
    top.mkdir(exist_ok=True)
    for name in [kind.format(number) for kind in kinds for number in range(each)]:
        if name.startswith("swap-file") or name.endswith("fifo"):
            (top / name).write_bytes(b"own")
        else:
            (top / name / "sub").mkdir(parents=True)
            (top / name / "file").write_bytes(b"own")
    return top


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[tuple[Store, VolumeRecord]]:
    store = open_store(str(tmp_path / "store"), create=True)
    yield store, create_volume(store, "v")
    store.close()


@contextmanager
def swapping(tree: Path, outside: Path) -> Iterator[None]:
    program = Path(__file__).with_name("swapping.py")
    argv = [sys.executable, str(program), str(tree), str(outside)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def look(outside: Path) -> list[tuple[str, bytes]]:
    """All that is there, with contents."""
    return sorted(
        (str(path.relative_to(outside)), path.read_bytes() if path.is_file() else b"")
        for path in outside.rglob("*")
    )


def contents(store: Store, volume: VolumeRecord) -> list[bytes]:
    """Of all files in the newest version."""
    reader, snapshot = Reader(store.objects_of(volume.id).load_object), head_snapshot(store, volume)
    found = []
    for listed in iter_listing(reader, snapshot, (), recursive=True):
        if listed.type == FileEntryType.FILE:
            entry = reader.get_path(snapshot, parse_path(listed.path))
            assert entry.kind == FileKind.FILE
            pieces = iter_content_bytes(reader, store.objects_of(volume.id), entry)
            found.append(b"".join(bytes(piece) for piece in pieces))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_put_reads_nothing_from_outside(
    volume: tuple[Store, VolumeRecord], tmp_path: Path, outside: Path, kind: str
) -> None:
    tree = make_tree(tmp_path / "tree", [kind])
    outcomes = {"done": 0, "changed": 0}
    with swapping(tree, outside):
        for number in range(ROUNDS):
            try:
                put_local(*volume, tree, (b"%d" % number,))
                outcomes["done"] += 1
            except LocalFileError:
                outcomes["changed"] += 1
    assert set(contents(*volume)) <= {b"own"}, outcomes
    assert sum(outcomes.values()) == ROUNDS


def test_uploads_read_nothing_from_outside(tmp_path: Path, outside: Path) -> None:
    """Symlinks to files are followed there if they are ours: these are another user's."""
    if os.geteuid() != 0:
        pytest.skip("gives links away")
    read = set()
    tree = make_tree(tmp_path / "tree")
    with swapping(tree, outside):
        for _ in range(ROUNDS * 10):
            try:
                with OpenTree(os.fsencode(tree)) as opened:
                    for item in iter_files(opened.top, ()):
                        with opened_file(item) as fd:
                            read.add(os.read(fd, 100))
            except (LocalFileError, OSError):
                continue
    assert read <= {b"own"}


def test_get_writes_nothing_outside(
    volume: tuple[Store, VolumeRecord], tmp_path: Path, outside: Path
) -> None:
    tree = make_tree(tmp_path / "tree")
    put_local(*volume, tree, ())
    before = look(outside)
    snapshot = head_snapshot(*volume)
    with swapping(tree, outside):
        for _ in range(ROUNDS):
            try:
                get_to_local(volume[0], volume[1], snapshot, (), tree, force=True)
            except LocalFileError:
                continue
    assert look(outside) == before


def test_removals_remove_nothing_outside(tmp_path: Path, outside: Path) -> None:
    before = look(outside)
    tree = make_tree(tmp_path / "tree", KINDS[:1])
    for _ in range(ROUNDS // 10):
        with swapping(tree, outside):
            while os.path.lexists(tree / "swap-0"):
                with OpenTree(os.fsencode(tree)) as opened, suppress(OSError):
                    empty_directory(opened.top)
        make_tree(tree, KINDS[:1])
    assert look(outside) == before
