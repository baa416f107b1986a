"""Damaged rows of volumes and versions are made again, or left where that would be a guess."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from tests.crash.children import first_seed, is_long
from tests.harness.damage import damage_object, spoil_rows
from tests.volume.repairing import Whole, find_damage, name_log, names_of, reopened, repair
from tests.volume.shortcuts import publish_files
from volfs.errors import DataError, NotFoundError
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, fork_volume, rename_volume

CHECKSUM, FIRST_BYTE = -1, 0


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    """A volume of the versions 0 to 5, beside others."""
    store = open_store(str(tmp_path / "whole"), create=True)
    volume = create_volume(store, "data", profile=1, auto_commit=2.5, chunk_bits=13)
    for number in range(5):
        publish_files(store, volume, {"f": f"{number}".encode()})
    create_volume(store, "other")
    fork_volume(store, volume, "fork", store.refs.get_head(volume.id))
    yield store, volume
    store.close()


def spoil(store: Store, table: bytes, at: int, *, besides: Collection[bytes] = ()) -> int:
    """Damage the rows of a table but those whose keys end so."""
    environment = store._engine.environment  # type: ignore[attr-defined]
    raw = environment.open_table(table).raw
    with environment.write() as txn:
        kept = {key: row for key, row in txn.raw.cursor(raw) if key.endswith(tuple(besides))}
    count = spoil_rows(store, table, at)
    with environment.write() as txn:
        for key, row in kept.items():
            txn.raw.put(key, row, db=raw)
    return count - len(kept)


def number(version: int) -> bytes:
    return version.to_bytes(8, "big")


def histories(store: Store) -> dict[str, list[Head]]:
    return {
        volume.name: list(store.refs.iter_versions(volume.id))
        for volume in store.refs.list_volumes()
    }


@pytest.mark.parametrize("at", [CHECKSUM, FIRST_BYTE])
@pytest.mark.parametrize("kept", [(), (0, 5), (2, 3), (5,), (0, 1, 2, 3, 4)])
def test_damaged_versions_are_made_again(whole: Whole, at: int, kept: tuple[int, ...]) -> None:
    store, _ = whole
    before = histories(store)
    count = spoil(store, b"versions", at, besides=[*map(number, kept)])
    assert count
    assert "`volfs check --repair`" in find_damage(store)[0]
    assert repair(store).mended_rows == count
    assert histories(store) == before
    assert check_store(store).is_clean


def test_a_version_whose_row_and_head_are_damaged(whole: Whole) -> None:
    """Nothing says that it is the newest, and nobody is given the one before it as that."""
    store, _ = whole
    before = histories(store)
    spoil(store, b"versions", FIRST_BYTE, besides=[*map(number, range(5))])
    spoil(store, b"heads", FIRST_BYTE)
    assert not repair_store(store).mended_rows
    assert "`volfs rebuild-index`" in "".join(find_damage(store))
    store.close()
    rebuild_store(store.url)
    store = open_store(store.url)
    assert histories(store) == before
    store.close()


def test_versions_beside_a_gap(whole: Whole) -> None:
    """The row might have had another number; what is left of it may still tell."""
    store, volume = whole
    store.refs.remove_versions(volume.id, [2])
    before = histories(store)
    others = [number(version) for version in (0, 1, 4, 5)]
    spoil(store, b"versions", FIRST_BYTE, besides=others)
    assert not repair_store(store).mended_rows
    assert "`volfs rebuild-index`" in "".join(find_damage(store))
    spoil(store, b"versions", FIRST_BYTE, besides=others)
    spoil(store, b"versions", CHECKSUM, besides=others)
    assert repair(store).mended_rows == 1
    assert histories(store) == before


def test_a_row_of_another_number_brings_nothing_back(whole: Whole) -> None:
    store, volume = whole
    store.refs.remove_versions(volume.id, [1, 2])
    environment = store._engine.environment  # type: ignore[attr-defined]
    raw = environment.open_table(b"versions").raw
    key = f"{volume.id}/".encode()
    with environment.write() as txn:
        row = txn.raw.pop(key + number(3), db=raw)
        txn.raw.put(key + number(2), row, db=raw)
    assert not repair_store(store).has_changed
    assert "`volfs rebuild-index`" in "".join(find_damage(store))


@pytest.mark.parametrize("table", [b"volumes", b"names", b"both"])
def test_damaged_volumes_are_made_again(whole: Whole, table: bytes) -> None:
    store, _ = whole
    create_volume(store, "other", environment="prod")
    rename_volume(store, "fork", "fork", to="prod")
    for name in ("data", "other"):
        rename_volume(store, name, f"{name}-renamed")
    before = store.refs.list_volumes()
    tables = (b"volumes", b"names") if table == b"both" else (table,)
    count = sum(spoil(store, each, FIRST_BYTE) for each in tables)
    assert repair(store).mended_rows == count
    assert store.refs.list_volumes() == before
    assert [store.refs.get_volume(v.name, v.environment) for v in before] == before
    assert check_store(store).is_clean


def test_volumes_that_nothing_tells_are_left(whole: Whole) -> None:
    """Their names in no row that is whole, and not in the log; or what they were made as."""
    store, volume = whole
    spoil(store, b"names", FIRST_BYTE)
    spoil(store, b"volumes", FIRST_BYTE)
    assert not name_log(store).exists()
    assert not repair_store(store).has_changed
    assert "`volfs rebuild-index`" in "".join(find_damage(store))
    spoil(store, b"names", FIRST_BYTE)
    first = store.refs.find_version(volume.id, 0)
    assert first is not None
    damage_object(Path(store.url), first)
    store = reopened(store)
    repair_store(store)
    left = [problem for problem in find_damage(store) if "table volumes" in problem]
    assert [volume.id in problem for problem in left] == [True]
    store.close()


def test_everything_at_once(whole: Whole) -> None:
    """Versions, then volumes from their first, then tags from the log, then that."""
    store, volume = whole
    rename_volume(store, "data", "renamed")
    store.refs.put_tag(volume.id, "tagged", 3)
    before, names = histories(store), names_of(store)
    for table in (b"versions", b"volumes", b"tags"):
        spoil(store, table, CHECKSUM)
    with name_log(store).open("r+b") as log:
        log.write(b"damaged\n\n")
    repair_store(store)
    assert check_store(store).is_clean
    assert not repair_store(store).has_changed
    assert (histories(store), names_of(store)) == (before, names)


# --- anything, at random ------------------------------------------------------

TABLES = (b"volumes", b"names", b"heads", b"versions", b"versions")
ROUNDS = int(os.environ.get("VOLFS_DAMAGES", "3000" if is_long() else "30"))


def damage_rows(store: Store, random: Random) -> None:
    """Damage a few rows: a bit of the value, some of it, or the number in a version's key."""
    environment = store._engine.environment  # type: ignore[attr-defined]
    for _ in range(random.choice((1, 1, 2, 4))):
        table = random.choice(TABLES)
        raw = environment.open_table(table).raw
        with environment.write() as txn:
            rows = list(txn.raw.cursor(raw))
            chosen = random.randrange(len(rows))
            key, value = rows[chosen]
            row = bytearray(value)
            at = random.randrange(len(row))
            end = random.choice((at + 1, len(row)))
            row[at:end] = random.randbytes(end - at)
            if table == b"versions" and random.random() < 0.3:
                moved = key[:-1] + bytes([random.randrange(8)])
                keys = [other for other, _ in rows]
                keys[chosen] = moved
                # Where keys do not ascend, the whole index is refused.
                if keys == sorted(set(keys)):
                    txn.raw.delete(key, db=raw)
                    key, row = moved, random.choice((row, bytearray(value)))
            txn.raw.put(key, bytes(row), db=raw)


def look(store: Store) -> dict[object, object]:
    """Each record, name, head and manifest that is not refused, by what it is of."""
    found: dict[object, object] = {}
    for name in ("data", "other", "fork"):
        with suppress(DataError, NotFoundError):
            volume = found[name] = store.refs.get_volume(name)
            for version in range(8):
                with suppress(DataError):
                    found[name, version] = store.refs.find_version(volume.id, version)
            with suppress(DataError, NotFoundError):
                found[name, "head"] = store.refs.get_head(volume.id)
    return found


def test_no_damage_of_refs_is_mended_wrongly(whole: Whole, tmp_path: Path) -> None:
    store, volume = whole
    store.refs.remove_versions(volume.id, [2, 3])
    before, seed, mended = look(store), first_seed(), 0
    store.close()
    for number in range(ROUNDS):
        path = tmp_path / f"{number}"
        shutil.copytree(store.url, path)
        with closing(open_store(str(path))) as damaged:
            damage_rows(damaged, Random(f"{seed}/{number}"))
            mended += repair_store(damaged).mended_rows
            is_clean = check_store(damaged).is_clean
            now = look(damaged)
        wrong = {key: value for key, value in now.items() if value and before[key] != value}
        assert not wrong, f"{seed}/{number}: {wrong}"
        assert not is_clean or now == before, f"{seed}/{number}: silent"
        shutil.rmtree(path)
    assert mended
