"""docs/scale.md says what the code does: its tables are calculated anew."""

from __future__ import annotations

import tracemalloc

import pytest
from immutables import Map

from bench.on_paper import (
    MEMORY_OF_PACK,
    PAGE,
    count_requests,
    find_tables,
    make_tables,
    measure_sizes,
    price,
    read_requests,
    renew,
)
from bench.paper_sizes import make_pack
from volfs.model.logs.pack_table import PackInUse, PackTable
from volfs.model.logs.volume_checkpoint import decode_piece, encode_piece

AGAIN = "python -m bench.on_paper"
STATED = find_tables(PAGE.read_text())


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    """By the requests that the page states."""
    return make_tables(measure_sizes(), read_requests(STATED["requests"]))


@pytest.mark.parametrize("name", STATED)
def test_a_table_says_what_the_code_does(tables: dict[str, str], name: str) -> None:
    assert STATED[name] == tables[name], f"the sizes have changed: {AGAIN}"


def test_no_operation_costs_more_than_the_page_says() -> None:
    stated = read_requests(STATED["requests"])
    counted = count_requests()
    assert counted.keys() == stated.keys()
    more = {name: each for name, each in counted.items() if price(each) > price(stated[name])}
    assert more == {}, f"more requests than before: {AGAIN}"


def test_the_page_can_be_written_anew(tables: dict[str, str]) -> None:
    text = PAGE.read_text()
    assert renew(text, tables) == text
    assert find_tables(renew(text, {"gc": "| x |"}))["gc"] == "| x |"


def test_the_memory_of_a_pack_is_about_what_the_page_says() -> None:
    """As a process has it that has read it."""
    count = 20_000
    piece = encode_piece((make_pack(number), 1000 + number) for number in range(count))
    tracemalloc.start()
    try:
        rows = (PackInUse(pack, line) for pack, line in decode_piece(piece))
        table = PackTable(Map({row.pack.name: row for row in rows}))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table.packs) == count
    assert size / count == pytest.approx(MEMORY_OF_PACK, rel=0.25)
    assert f"| {MEMORY_OF_PACK} bytes |" in PAGE.read_text()
