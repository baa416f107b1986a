"""Damage in the pages of LMDB: told of before it can kill the process, and where it may be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.damage import flip_byte
from tests.volume.shortcuts import publish_files
from volfs.errors import DamagedObjectError
from volfs.model.objects import Kind
from volfs.store.checked_lmdb import pages
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.care import Damage
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.refs.name_log import NameLog
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.embedded.refs.tags import Tags
from volfs.store.packs.rows import decode_entry
from volfs.store.registry import open_store, rebuild_index
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

PAGE = 4096
FLAGS, UPPER = 10, 14
"""Where in a page its flags are, and where its rows begin: before them is what it held once."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with enough in it for an index of some pages."""
    store = open_store(str(tmp_path / "store"), create=True)
    volume = create_volume(store, "data")
    publish_files(store, volume, {f"{n}": b"%d" % n * 500 for n in range(200)})
    store.refs.put_tag(volume.id, "kept", 1)
    store.close()
    return tmp_path / "store"


def find_pages(data: Path, flags: int, content: bytes) -> list[int]:
    found = []
    for number in range(2, data.stat().st_size // PAGE):
        page = data.read_bytes()[number * PAGE : (number + 1) * PAGE]
        if read_field(page, FLAGS) == flags and content in page[read_field(page, UPPER) :]:
            found.append(number)
    return found


def read_field(page: bytes, at: int) -> int:
    return int.from_bytes(page[at : at + 2], sys.byteorder)


def first_chunk(path: Path) -> bytes:
    """One whose id is in no other table, as that of a manifest is."""
    environment = LmdbEnvironment(path / "index")
    rows = Index(environment).iter_rows()
    found = next(oid for oid, row in rows if decode_entry(oid, row).kind is Kind.CHUNK)
    environment.close()
    return bytes(found)


def damage_objects(path: Path) -> None:
    """Make a page of the table of objects one of a kind that there is not."""
    data, oid = path / "index" / pages.DATA, first_chunk(path)
    for page in find_pages(data, 2, oid):
        flip_byte(data, page * PAGE + FLAGS)


def test_it_is_told_and_the_way_out_is_named(path: Path) -> None:
    damage_objects(path)
    with pytest.raises(DamagedObjectError, match=r"main/objects DB.*volfs rebuild-index"):
        open_store(str(path))


def test_a_new_index_keeps_all_but_what_it_makes_again(path: Path) -> None:
    damage_objects(path)
    report = rebuild_index(str(path))
    assert not report.refs_lost
    store = open_store(str(path))
    assert [tag.name for tag in store.refs.list_tags(store.refs.get_volume("data").id)] == ["kept"]
    assert check_store(store).is_clean
    store.close()


@pytest.mark.parametrize("keep", [0, 1, PAGE, 3 * PAGE, 3 * PAGE + 1])
def test_a_file_that_was_cut(path: Path, keep: int) -> None:
    os.truncate(path / "index" / pages.DATA, keep)
    with pytest.raises(DamagedObjectError):
        open_store(str(path))


def test_an_older_moment_is_not_taken_for_the_newest(path: Path) -> None:
    """A transaction number of zero made LMDB take the other page, and lose a commit."""
    data = path / "index" / pages.DATA
    content = data.read_bytes()
    numbers = [int.from_bytes(content[at : at + 8], sys.byteorder) for at in (144, PAGE + 144)]
    at = (144, PAGE + 144)[numbers.index(max(numbers))]
    data.write_bytes(content[:at] + bytes(8) + content[at + 8 :])
    with pytest.raises(DamagedObjectError, match="transactions"):
        open_store(str(path))


def test_large_files_are_looked_at_once_in_a_boot(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SMALL", PAGE)
    looks: list[Path] = []
    look = pages.verify
    monkeypatch.setattr(pages, "verify", lambda data, **_: looks.append(data) or look(data))
    for _ in range(3):
        open_store(str(path)).close()
    assert len(looks) == 1
    (path / "index" / pages.CHECKED).write_bytes(b"of another boot")
    open_store(str(path)).close()
    assert len(looks) == 2


def test_nothing_is_said_of_a_file_that_others_write(path: Path) -> None:
    """Whoever opens it looks at one moment of it, and no page of that is used again."""
    writer = """
import sys
from volfs.store.checked_lmdb.environment import LmdbEnvironment
environment = LmdbEnvironment(__import__("pathlib").Path(sys.argv[1]))
table = environment.open_table(b"busy")
for number in range(300):
    with environment.write(reserve=0) as txn:
        for key in range(50):
            txn.put(b"%d" % (key * number % 977), b"x" * (number % 700), db=table)
"""
    process = subprocess.Popen([sys.executable, "-c", writer, str(path / "index")])
    count = 0
    while process.poll() is None or not count:
        open_store(str(path)).close()
        count += 1
    assert process.returncode == 0


Put = Callable[[LmdbEnvironment], None]
LOG = NameLog(Path("/nonexistent"))
"""Not written to: what these change has no names."""


def put_tag(environment: LmdbEnvironment) -> None:
    refs = RefRows(environment, LOG)
    volume = refs.list_volumes()[0]
    tags = Tags(environment, refs, LOG)
    with environment.write() as txn:
        txn.raw.put(f"{volume.id}/kept".encode(), b"nonsense" * 2, db=tags._tags.raw)


def put_volume(environment: LmdbEnvironment) -> None:
    refs = RefRows(environment, LOG)
    with environment.write() as txn:
        txn.raw.put(b"vo-x", b"nonsense" * 2, db=refs._volumes.raw)


@pytest.mark.parametrize(("put", "table"), [(put_tag, "table tags"), (put_volume, "table volumes")])
def test_check_names_rows_that_are_damaged(path: Path, put: Put, table: str) -> None:
    environment = LmdbEnvironment(path / "index")
    put(environment)
    environment.close()
    store = open_store(str(path))
    damage = check_store(store).damage
    store.close()
    assert damage[0] == Damage(None, table, damage[0].problem)
    assert "checksum" in damage[0].problem
