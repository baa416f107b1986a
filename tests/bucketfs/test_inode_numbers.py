"""Inode numbers grow as listings do, so that programs that sort by them walk through the pages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bucketfs.conftest import NewRig
from tests.bucketfs.rig import BucketRig
from volfs.bucketfs import listing, paging
from volfs.bucketfs.inode_numbers import DERIVED, NameOrder, derive_number
from volfs.bucketfs.nodes import ROOT_INO

PAGE, KEPT, COUNT = 20, 4, 1500
PAGES = COUNT // PAGE

parts = st.binary(min_size=1, max_size=3)
pages = st.lists(st.tuples(st.binary(max_size=3), parts).filter(lambda page: page[0] < page[1]))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE", PAGE)
    monkeypatch.setattr(listing, "PAGES", KEPT)


async def read_numbers(rig: BucketRig) -> dict[bytes, int]:
    """The number of each name in a listing of the root. Nobody knows the names afterwards."""
    directories, root = rig.files.directories, rig.state.nodes.root
    number, at, found = directories.open(ROOT_INO), 2, dict[bytes, int]()
    while (window := await directories.get_window(number, at)) is not None:
        for listed in window.entries[at - window.first :]:
            node = directories.bind(root, listed)
            assert node is not None
            found[listed.name] = node.ino
            rig.state.nodes.drop_if_idle(node)
        at = window.after
    directories.release(number)
    return found


async def look_in_order(rig: BucketRig, numbers: dict[bytes, int]) -> int:
    """How many requests it costs to look at each name in the order of the numbers."""
    rig.bucket.asked.clear()
    for name, number in sorted(numbers.items(), key=lambda one: one[1]):
        node = await rig.get(name.decode())
        assert node.ino == number
        rig.state.forget(number, 1)
    return rig.bucket.asked.total()


def make_keys(count: int) -> dict[str, bytes]:
    """Files and directories. A file's name may be the beginning of the next name."""
    return {
        f"image-{n:05}" + ("/x" if n % 7 == 0 else "-b" if n % 5 == 0 else ""): b"x"
        for n in range(count)
    }


async def test_looks_in_the_order_of_numbers_cost_a_request_for_each_page(new_rig: NewRig) -> None:
    rig = new_rig(keys=make_keys(COUNT), metadata_ttl=600.0)
    numbers = await read_numbers(rig)
    assert len(set(numbers.values())) == COUNT
    assert await look_in_order(rig, numbers) <= PAGES + 2
    assert await read_numbers(rig) == numbers


async def test_a_directory_that_grew_is_looked_at_page_by_page(new_rig: NewRig) -> None:
    """Also if all new names lie between two old ones."""
    rig = new_rig(keys=make_keys(2 * PAGE), metadata_ttl=10.0)
    old = await read_numbers(rig)
    for number in range(COUNT):
        rig.others.put(f"image-00005+{number:05}", b"x")
    rig.now += 20
    numbers = await read_numbers(rig)
    assert len(set(numbers.values())) == len(old) + COUNT
    assert await look_in_order(rig, numbers) <= 2 * PAGES


async def test_a_name_keeps_its_number_while_it_is_known(new_rig: NewRig) -> None:
    keys = make_keys(COUNT)
    rig = new_rig(keys=keys, metadata_ttl=600.0)
    known = random.Random(7).sample(sorted({key.partition("/")[0] for key in keys}), 50)
    before = {name: (await rig.get(name)).ino for name in known}
    numbers = await read_numbers(rig)
    rig.now += 1000
    for name, number in before.items():
        assert numbers[name.encode()] == number == (await rig.get(name)).ino
    assert len(set(numbers.values())) == COUNT


@given(pages, parts, parts)
def test_ranks_grow_with_the_parts(
    listed: list[tuple[bytes, bytes]], one: bytes, other: bytes
) -> None:
    order = NameOrder()
    for start, end in listed:
        order.cut(start, end)
        ranks = order.get_rank(one), order.get_rank(other)
        assert ranks == tuple(sorted(ranks, reverse=one > other))
        again = order.get_rank(start + b"\0"), order.get_rank(end)
        order.cut(start, end)
        assert again == (order.get_rank(start + b"\0"), order.get_rank(end))


def test_ranks_stay_in_their_bounds_however_often_names_are_added() -> None:
    order = NameOrder()
    for number in range(5000, 0, -1):  # Each cut comes before all others.
        order.cut(b"%05d" % (number - 1), b"%05d" % number)
    for number in range(5000, 200_000):
        order.cut(b"%06d" % number, b"%06d" % (number + 1))
    ranks = [order.get_rank(b"%06d!" % number) for number in range(0, 200_000, 100)]
    assert ranks == sorted(ranks)
    assert all(DERIVED <= derive_number(5, b"x", rank) < 2 * DERIVED for rank in ranks)
