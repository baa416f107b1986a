"""Histories from manifests alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.lineage import FoundManifest, choose_versions
from volfs.model.objects import NO_OID, Oid


def oid(text: str) -> Oid:
    return Oid(text.encode().ljust(32, b"."))


def made(text: str, version: int, parent: str, created_ns: int = 0) -> FoundManifest:
    return FoundManifest(oid(text), version, oid(parent) if parent else NO_OID, created_ns)


def names(found: list[FoundManifest]) -> list[str]:
    return [item.oid.decode().rstrip(".") for item in found]


CHAIN = [made("a", 0, ""), made("b", 1, "a", 1), made("c", 2, "b", 2)]


@given(st.permutations(CHAIN))
def test_a_chain_is_followed_whatever_the_order(found: list[FoundManifest]) -> None:
    assert names(choose_versions(found, lambda _: True)) == ["c", "b", "a"]


def test_those_that_lost_a_race_are_left_out() -> None:
    losers = [made("x", 1, "a", 0), made("y", 2, "b", 1)]
    later = made("d", 3, "c", 3)
    assert names(choose_versions([*losers, *CHAIN, later], lambda _: True)) == ["d", "c", "b", "a"]


def test_of_two_heads_the_earlier_one_is_taken() -> None:
    rival = made("y", 2, "b", 5)
    assert names(choose_versions([rival, *CHAIN], lambda _: True)) == ["c", "b", "a"]


def test_a_head_that_is_not_whole_gives_way_to_its_parent() -> None:
    assert names(choose_versions(CHAIN, lambda item: item.oid != oid("c"))) == ["b", "a"]


def test_below_a_version_that_is_not_whole_its_parent_goes_on() -> None:
    loser = made("x", 0, "", -1)
    found = choose_versions([loser, *CHAIN], lambda item: item.oid != oid("b"))
    assert names(found) == ["c", "a"]


def test_history_goes_on_below_versions_that_were_removed() -> None:
    found = [made("a", 0, ""), made("f", 5, "e"), made("g", 6, "f"), made("z", 6, "e")]
    assert names(choose_versions(found[:3], lambda _: True)) == ["g", "f", "a"]


def test_nothing_found_is_no_history() -> None:
    assert choose_versions([], lambda _: True) == []
