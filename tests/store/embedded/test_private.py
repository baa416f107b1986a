"""A store is its owner's alone."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.harness.calls import run_as
from volfs.errors import StoreDeniedError
from volfs.store.embedded.place.layout import _write_format, check_store
from volfs.store.embedded.refs.name_log import NameLog
from volfs.store.registry import open_store, open_tables, rebuild_index
from volfs.store.tables import TableNames
from volfs.volume.upgrade import upgrade_store

NAMES = TableNames(durable=("one",), volatile=())
FORMER = Path(__file__).parents[2] / "former" / "store-1.tar.xz"


@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777])
def test_one_that_others_may_write_to_is_not_opened(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    path.chmod(mode)
    for create in (False, True):
        with pytest.raises(StoreDeniedError, match=f"mode {mode:o}.*chmod 700"):
            open_store(str(path), create=create)
    path.chmod(0o755)
    open_store(str(path)).close()


def test_one_of_another_user_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    for part in (path, *path.rglob("*")):
        part.chmod(0o755)
    # Relative, for the directories above are closed to him.
    answer = run_as(1000, path, lambda: check_store(Path()))
    assert "belongs to another user" in answer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_in_a_store_of_another_user_is_that_users(tmp_path: Path) -> None:
    """Also where a former volfs made the store, root upgrades it and makes its index anew."""
    with tarfile.open(FORMER) as archive:
        archive.extractall(tmp_path, filter="tar")
    store = tmp_path / "store"
    shutil.rmtree(store / "tables")
    for part in (store, *store.rglob("*")):
        os.chown(part, 1000, 1000)
    # What another user planted where root makes a file is neither followed nor given away.
    victim = tmp_path / "victim"
    victim.write_text("root's")
    (store / f"format.{os.getpid()}.new").symlink_to(victim)
    (store / "names.new").symlink_to(victim)
    upgrade_store(str(store))
    rebuild_index(str(store))
    NameLog(store / "names.log").replace([])
    tables = open_tables(str(store), NAMES, create=True)
    tables.durable.change(lambda rows: rows.put("one", b"key", b"value"))
    tables.close()
    parts = [store, *store.rglob("*")]
    assert store / "tables" / "durable" / "data.mdb" in parts
    assert {part.lstat().st_uid for part in parts} == {1000}
    assert (victim.read_text(), victim.stat().st_uid) == ("root's", 0)
    assert run_as(1000, store, lambda: check_store(Path())) == "None"


def test_a_format_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    (path / "format").unlink()
    (path / "format").mkdir()
    with pytest.raises(IsADirectoryError):
        _write_format(path)
    assert not list(path.glob("format.*"))
