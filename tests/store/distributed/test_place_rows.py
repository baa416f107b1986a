"""Rows of places are never the truth: damaged, removed, too large, or not there at all."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.segments.packed import make_footer, name_pack, place_records
from tests.store.contract import run_python
from tests.store.distributed.stand_in import StandInStore
from tests.store.distributed.two_machines import VOLUME, chunks, door, here, publish, read_all
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.place_rows import PLACES_EACH, KnownPack, PlaceRows

__all__ = ["door", "here"]


def make_packs(count: int, records: int = 5) -> list[NamedPack]:
    """Packs that all have the same objects."""
    footer = make_footer(place_records([10] * records))
    return [name_pack(footer, number) for number in range(count)]


FOOTER = make_footer(place_records([10] * 5))


def test_the_latest_places_are_kept(tmp_path: Path) -> None:
    rows, packs = PlaceRows(tmp_path / "index"), make_packs(6)
    for pack in packs:
        assert rows.put(pack, FOOTER, 7)
    again = PlaceRows(tmp_path / "other")
    for record in FOOTER:
        found = rows.find(record.oid)
        assert [pack for pack, _ in found] == packs[: -PLACES_EACH - 1 : -1]
        assert all(entry.header(record.oid) == record.header for _, entry in found)
        assert all(entry.offset == record.offset for _, entry in found)
        assert again.find(record.oid) == []
    rows.forget_pack(packs[-1])
    assert [pack for pack, _ in rows.find(FOOTER[0].oid)] == packs[-2 : -PLACES_EACH - 1 : -1]
    assert rows.find_pack(packs[-1]) == KnownPack()
    rows.note_seen(packs[-2], 9)
    assert rows.find_pack(packs[-2]) == KnownPack(True, 9)
    slim = packs[-2]._replace(length=1)
    assert rows.find_pack(slim) == KnownPack(), "a line that became slim is another one"
    rows.note_seen(slim, 1)
    assert rows.find_pack(slim) == KnownPack(False, 1)
    assert rows.find_pack(packs[-2]) == KnownPack(True, 9)
    rows.close()
    reopened = PlaceRows(tmp_path / "index")
    assert [pack for pack, _ in reopened.find(FOOTER[0].oid)] == packs[-2 : -PLACES_EACH - 1 : -1]
    reopened.close()
    again.close()
    assert reopened.find(FOOTER[0].oid) == []


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 12 * 4096), junk=st.binary(min_size=1, max_size=300))
def test_damage_never_gives_another_place(
    at: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("rows") / "index"
    rows, packs = PlaceRows(directory), make_packs(3)
    for pack in packs:
        rows.put(pack, FOOTER, 7)
    whole = {record.oid: rows.find(record.oid) for record in FOOTER}
    rows.close()
    file = directory / "data.mdb"
    data = bytearray(file.read_bytes())
    at %= len(data)
    data[at : at + len(junk)] = junk
    file.write_bytes(bytes(data))
    rows = PlaceRows(directory)
    for record in FOOTER:
        assert all(found in whole[record.oid] for found in rows.find(record.oid))
    for pack in packs:
        assert rows.put(pack, FOOTER, 8)
        assert rows.find(FOOTER[0].oid)[0][0] == pack
    rows.close()


def test_a_file_that_is_too_large_begins_anew(tmp_path: Path) -> None:
    rows = PlaceRows(tmp_path / "index", limit=200_000)
    sizes = []
    for number in range(40):
        footer = make_footer(place_records([1] * 100, seed=number))
        rows.put(name_pack(footer, number), footer, 1)
        sizes.append((tmp_path / "index" / "data.mdb").stat().st_size)
        assert len(rows.find(footer[0].oid)) <= 1
    assert max(sizes) < 500_000
    assert any(a > b for a, b in itertools.pairwise(sizes))
    rows.close()
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


OTHER = """
    import sys
    from pathlib import Path
    from tests.store.distributed.test_place_rows import FOOTER, make_packs
    from volfs.store.distributed.data.place_rows import PlaceRows
    rows = PlaceRows(Path(sys.argv[1]))
    known = rows.find(FOOTER[0].oid)
    if sys.argv[2] == "drop":
        rows.drop()
    assert rows.put(make_packs(2)[1], FOOTER, 1)
    print(len(known), len(rows.find(FOOTER[0].oid)))
"""


def test_processes_share_it_and_may_drop_it_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "index"
    rows, (pack, later) = PlaceRows(path), make_packs(2)
    rows.put(pack, FOOTER, 1)
    assert run_python(OTHER, str(path), "share") == "1 2\n"
    assert [found for found, _ in rows.find(FOOTER[0].oid)] == [later, pack]
    assert run_python(OTHER, str(path), "drop") == "2 1\n"
    assert [found for found, _ in rows.find(FOOTER[0].oid)] == [later]
    shutil.rmtree(path)
    assert rows.find(FOOTER[0].oid) == []
    assert rows.put(pack, FOOTER, 1)
    assert run_python(OTHER, str(path), "share") == "1 2\n"
    rows.drop()
    assert rows.find(FOOTER[0].oid) == []
    rows.close()


def test_everything_works_without_rows(here: StandInStore, tmp_path: Path) -> None:
    """There is a file in the place of their directory, say."""
    local = tmp_path / "odd"
    (local / "cache").mkdir(parents=True)
    (local / "cache" / "index").write_bytes(b"in the way")
    (local / "cache" / "spool").write_bytes(b"in the way")
    old, _ = publish(here, chunks(5))
    odd = StandInStore(here.bucket, local)
    read_all(odd, old)
    put, shipment = publish(odd, chunks(9, 200_000, seed=1))
    assert shipment.packs
    read_all(odd, put)
    here.log_of(VOLUME).refresh()
    here.write_segment(VOLUME)
    odd.log_of(VOLUME).refresh()
    fresh = odd.data.objects_of(odd.log_of(VOLUME))
    for oid, data in (old | put).items():
        assert fresh.load_object(oid) == data
    odd.close()
    read_all(here, put)


def test_rows_that_are_dropped_under_a_reader_cost_time_only(here: StandInStore) -> None:
    put, _ = publish(here, [*chunks(5), *chunks(3, 1000, seed=1)])
    for attempt in range(3):
        objects = here.data.objects_of(here.log_of(VOLUME))
        if attempt == 1:
            shutil.rmtree(here.local / "cache")
        elif attempt == 2:
            shutil.rmtree(here.local / "disk")
        for oid, data in put.items():
            assert objects.load_object(oid) == data
    put |= publish(here, chunks(5, 200_000, seed=2))[0]
    read_all(here, put)
