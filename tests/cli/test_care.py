"""gc, check --repair and rebuild-index from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.damage import spoil_rows
from tests.volume.shortcuts import noise
from volfs.store.contract.lease import Lease
from volfs.store.registry import open_store


@pytest.fixture
def big(volfs: Command, tmp_path: Path) -> Path:
    """A store with a volume, and with what a deleted one has left."""
    path = tmp_path / "big"
    path.write_bytes(noise(800_000))
    volfs("create", "gone")
    volfs("put", "gone", path, "f")
    volfs("delete", "gone", "-y")
    volfs("create", "kept")
    path.write_bytes(noise(50_000, 1))
    volfs("put", "kept", path, "f")
    return path


def size(volfs: Command) -> int:
    return sum(path.stat().st_size for path in (volfs.store / "packs").iterdir())


def test_gc(volfs: Command, big: Path) -> None:
    dry = volfs("gc", "--dry-run", "--json").json
    assert dry.pop("dry_run") is True
    before = size(volfs)
    assert volfs("gc", "--dry-run").lines[1].startswith("Would put into quarantine: ")
    assert size(volfs) == before
    assert volfs("gc", "--json").json == {"dry_run": False, **dry}
    assert dry["quarantined_bytes"] > 800_000
    assert volfs("gc", "--undelete", "--json").json["packs"] == dry["waiting_packs"]
    freed = volfs("gc", "--grace", "0", "--json").json["deleted_bytes"]
    assert freed > 800_000
    assert size(volfs) < before - 800_000
    assert volfs("get", "kept", "f", "-").out == noise(50_000, 1)
    assert volfs("check").lines[-1].endswith("no problems.")


@pytest.mark.parametrize("grace", ["90", "1.5h", "7d"])
def test_lengths_of_time(volfs: Command, big: Path, grace: str) -> None:
    assert volfs("gc", "--grace", grace, "--json").json["deleted_packs"] == 0


def test_how_much_gc_may_copy(volfs: Command, big: Path) -> None:
    for size, most in (("0", 0), ("1K", 1 << 10), ("2.5M", 5 << 19), ("20G", 20 << 30)):
        told = volfs("gc", "--max-rewrite", size, "--json").json
        assert told["rewritten_bytes"] <= most
    for size in ("10%", "much", "-1", ""):
        assert "is no size" in volfs("gc", "--max-rewrite", size, status=2).err


@pytest.mark.parametrize("grace", ["-1", "soon", "1y", ""])
def test_other_lengths_are_refused(volfs: Command, big: Path, grace: str) -> None:
    assert "length of time" in volfs("gc", "--grace", grace, status=2).err


def test_a_damaged_lease_is_told_of_and_mended(volfs: Command, big: Path) -> None:
    store = open_store(str(volfs.store))
    (volfs.store / "mounts").mkdir()
    (record,) = store.refs.list_volumes()
    store.leases.put(Lease("gone-1", record.id, (0,)))
    spoil_rows(store, b"leases")
    store.close()
    assert "check --repair" in volfs("gc", status=1).err
    assert "damage: lease of gone-1: it cannot be read" in "\n".join(volfs("check", status=1).lines)
    repaired = volfs("check", "--repair").lines
    assert "Lease of gone-1 dropped: its session is gone." in repaired
    assert volfs("check", "--repair", "--json").json["repaired"]["leases"] == []
    volfs("gc")


def test_undelete_excludes_dry_run(volfs: Command, big: Path) -> None:
    assert "exclude" in volfs("gc", "--undelete", "--dry-run", status=2).err


def test_a_damaged_store_is_not_collected(volfs: Command, big: Path) -> None:
    before = size(volfs)
    damage(volfs, noise(50_000, 1))
    assert "check --repair" in volfs("gc", status=1).err
    assert size(volfs) >= before


def damage(volfs: Command, data: bytes) -> None:
    """Change one byte of what is stored."""
    for path in (volfs.store / "packs").iterdir():
        stored = path.read_bytes()
        at = stored.find(data)
        if at >= 0:
            path.write_bytes(stored[: at + 9] + b"?" + stored[at + 10 :])


def test_check_repairs_as_far_as_that_can_be(volfs: Command, big: Path) -> None:
    assert volfs("check", "--repair", "--read-data").lines[0] == "Repaired: nothing."
    damage(volfs, noise(50_000, 1))
    assert volfs("check", status=1).lines[0].startswith("damage: pack ")
    result = volfs("check", "--repair", "--json", status=1).json
    assert result["repaired"]["lost_objects"] == 1
    assert result["damage"] == []
    assert [item["path"] for item in result["problems"]] == ["f"]
    assert volfs("check", "--repair", status=1).lines[0] == "Repaired: nothing."
    volfs("put", "kept", big, "again")
    assert volfs("check").lines[-1].endswith("no problems.")
    volfs("gc", "--grace", "0")


def test_rebuild_index(volfs: Command, big: Path) -> None:
    assert volfs("rebuild-index", "--json").json["recovered"] == []
    shutil.rmtree(volfs.store / "index")
    assert "volfs rebuild-index" in volfs("list", status=1).err
    lines = volfs("rebuild-index").lines
    assert "Recovered volume kept to version 1." in lines
    assert volfs("get", "kept", "f", "-").out == noise(50_000, 1)
    assert volfs("check", "--read-data").lines[-1].endswith("no problems.")
