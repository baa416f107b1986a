"""A store of the former format: read as it is, changed only once it is upgraded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.former.conftest import EXPECTED, list_digests
from volfs.control.mounts import list_volfs_mounts
from volfs.model.entry import UNKNOWN
from volfs.store.packs.codec import is_former_form
from volfs.store.packs.rows import decode_entry
from volfs.store.registry import open_store, upgrade_format
from volfs.volume.version_reader import Reader

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]
BLOCKS = {"sparse.bin": 3000, "hole.bin": 0, "wide.bin": 12_600, "inline.txt": 6}
"""Bytes of data in version 2, of some files."""


@pytest.fixture
def place(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "at"
    place.mkdir()
    yield place
    for mount in list_volfs_mounts():
        if mount.path.startswith(str(tmp_path)):
            volfs("umount", "--discard", mount.path)


def read_snapshot(volfs: Command) -> Any:
    store = open_store(str(volfs.store))
    volume = store.refs.get_volume("former")
    reader = Reader(store.objects_of(volume.id).load_object)
    snapshot = reader.load_manifest(store.refs.get_head(volume.id).manifest).snapshot
    store.close()
    return snapshot


def has_former_records(volfs: Command) -> bool:
    store: Any = open_store(str(volfs.store))
    rows = [(oid, decode_entry(oid, row)) for oid, row in store._engine.index.iter_rows()]
    store.close()
    return any(is_former_form(entry.header(oid)) for oid, entry in rows)


def check_version(volfs: Command, place: Path, version: str) -> None:
    volfs("mount", "former", place, "--at", version)
    assert list_digests(place) == EXPECTED[version]
    for name, data in BLOCKS.items():
        assert (place / name).stat().st_blocks == -(-data // 512), name
    volfs("umount", place)


def test_it_is_read_and_not_changed(volfs: Command, place: Path) -> None:
    packs = {path.name: path.read_bytes() for path in (volfs.store / "packs").iterdir()}
    check_version(volfs, place, "2")
    assert volfs("check").lines[-1].endswith("no problems.")
    assert len(volfs("log", "former").out) > 0
    assert volfs("dict", "get", "words", "key").lines == ["value"]
    refused = [
        ("create", "more"),
        ("put", "former", place, "new"),
        ("rm", "former", "big.bin"),
        ("gc",),
        ("tag", "former", "new"),
        ("mount", "former", place),
        ("environment", "create", "new"),
        ("dict", "create", "new"),
        ("queue", "create", "new"),
        ("secret", "create", "new", "A=b"),
    ]
    for words in refused:
        said = volfs(*words, status=1).err
        assert "volfs upgrade" in said, words
    now = {path.name: path.read_bytes() for path in (volfs.store / "packs").iterdir()}
    assert now == packs
    assert json.loads((volfs.store / "format").read_text())["version"] == 1


def test_nobody_may_have_it_open_when_it_is_upgraded(volfs: Command, place: Path) -> None:
    volfs("mount", "former", place, "--read-only")
    assert "in use" in volfs("upgrade", status=1).err
    volfs("umount", place)
    assert volfs("upgrade").lines[0] == "The store has today's format."


def test_after_the_upgrade(volfs: Command, place: Path) -> None:
    done = volfs("upgrade", "--json").json
    assert done == {"was_former": True, "converted": {"former": 4, "second": 2}, "collected": None}
    assert volfs("upgrade", "--json").json["converted"] == {}
    assert volfs("diff", "former", "3", "4").out == b""
    assert volfs("log", "former", "--json").json[0]["version"] == 4
    assert (volfs.store / "format").read_bytes() == b'{"format":"volfs","version":2}'
    totals = read_snapshot(volfs).totals
    assert UNKNOWN not in (totals.data, totals.linked)
    assert totals.linked == 5
    check_version(volfs, place, "2")
    volfs("mount", "former", place)
    assert list_digests(place) == EXPECTED["3"]
    used = os.statvfs(place)
    assert (used.f_blocks - used.f_bfree) * used.f_frsize < 12_000_000
    (place / "more").write_bytes(b"more" * 40_000)
    volfs("commit", place)
    volfs("umount", place)
    assert volfs("check", "--read-data").lines[-1].endswith("no problems.")
    collected = volfs("upgrade", "--rewrite", "--grace", "0", "--json").json["collected"]
    assert collected["rewritten_packs"] >= 2
    assert not has_former_records(volfs)
    assert volfs("check", "--read-data").lines[-1].endswith("no problems.")
    assert volfs("gc", "--json").json["rewritten_packs"] == 0
    check_version(volfs, place, "2")
    assert volfs("get", "former", "good.bin", "-", status=1).err
    assert volfs("tag", "former", "--json").json[0]["tag"] == "good"


def test_volumes_of_equal_names(volfs: Command) -> None:
    """Each is named in the answer, with its environment."""
    upgrade_format(str(volfs.store))
    volfs("rename", "-y", "second", "prod/former")
    converted = volfs("upgrade", "--json").json["converted"]
    assert converted == {"former": 4, "prod/former": 2}


def test_what_a_dead_mount_left(volfs: Command, place: Path) -> None:
    """It lies on a version of the former format, and is committed onto the converted one."""
    (row,) = volfs("overlays", "--json").json
    volfs("upgrade")
    volfs("overlays", "adopt", row["name"], place)
    assert list_digests(place) == EXPECTED["uncommitted"]
    assert (place / "sparse.bin").stat().st_blocks == -(-11_000 // 512)
    assert volfs("commit", place, "--json").json["version"] == 5
    assert list_digests(place) == EXPECTED["uncommitted"]
    volfs("umount", place)
    assert volfs("check", "--read-data").lines[-1].endswith("no problems.")
    totals = read_snapshot(volfs).totals
    assert UNKNOWN not in (totals.data, totals.linked)


def test_a_backup_with_the_former_format_file(volfs: Command, place: Path) -> None:
    """Whatever of a store was restored: packs of both formats are read under either number."""
    former = (volfs.store / "format").read_bytes()
    volfs("upgrade")
    shutil.copy(volfs.store / "format", volfs.directory / "new")
    (volfs.store / "format").write_bytes(former)
    assert volfs("check").lines[-1].endswith("no problems.")
    assert "volfs upgrade" in volfs("create", "more", status=1).err
    assert volfs("upgrade", "--json").json["converted"] == {}
    volfs("create", "more")
