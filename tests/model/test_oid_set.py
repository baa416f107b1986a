"""A compact set of ids is a set."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.oid_set import OidSet

# Few different bytes, so that ids fall into one bucket and contain each other's parts.
_oids = st.builds(
    lambda text: Oid(bytes(2) + text + bytes(16)),
    st.text("ab", min_size=14, max_size=14).map(str.encode),
)


@given(st.lists(_oids), st.lists(_oids))
def test_it_is_a_set(added: list[Oid], asked: list[Oid]) -> None:
    compact, plain = OidSet(), set()
    for oid in added:
        assert compact.add(oid) is (oid not in plain)
        plain.add(oid)
    assert len(compact) == len(plain)
    for oid in (*added, *asked):
        assert (oid in compact) is (oid in plain)


def test_an_id_across_two_others_is_not_in_it() -> None:
    one, two = b"abcdefghijklmn", b"opqrstuvwxyzAB"
    compact = OidSet()
    for rest in (one, two):
        compact.add(Oid(b"\1\2" + rest + bytes(16)))
    assert Oid(b"\1\2" + (one + two)[3:17] + bytes(16)) not in compact


def test_many_ids() -> None:
    chosen = random.Random(1)
    oids = [compute_oid(Kind.CHUNK, chosen.randbytes(8)) for _ in range(20_000)]
    compact = OidSet()
    assert all(compact.add(oid) for oid in oids[:10_000])
    assert [oid in compact for oid in oids] == [True] * 10_000 + [False] * 10_000
