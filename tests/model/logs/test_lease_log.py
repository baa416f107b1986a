"""The log of a lease: what is in force, and which lines may follow."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.model.logs.volumes import FACTS, OTHER, manifest_of
from volfs.errors import ConflictError, DamagedObjectError, InvalidError, UnsupportedFormatError
from volfs.model.logs.lease_log import (
    LEASE_CHANGES,
    LeaseChange,
    LeaseEnded,
    LeaseMade,
    LeaseRevoked,
    LeaseState,
    apply,
    begin_at,
    is_over,
    is_overdue,
)
from volfs.model.objects import Kind

LEASE = LeaseMade(
    "m.data-1",
    FACTS.id,
    ((1, manifest_of(1)),),
    ((Kind.TREE, manifest_of(2)),),
    5,
    "renewed",
    172_800,
    1_700_000_000_000_000_000,
    b"\1\2",
    True,
    "host",
    "/mnt/data",
    "box",
)
GOLDEN = (
    "939ea56c65617365a86d2e646174612d31b9766f2d303030303030303030303030303030303030303030"
    "31919201c420c872a07f4ba8b5b1a7bd0555070f4671cae060b7d6ea09e07134fcb6994ba2d6919202c4"
    "2052014f2aede32530b5cee798960c38243acf7443f11abf703d6624ead94a6e4b05a772656e65776564"
    "ce0002a300cf17979cfe362a0000c4020102c3a4686f7374a92f6d6e742f64617461a3626f7891a5656e"
    "64656491a77265766f6b6564"
)


def test_golden_bytes() -> None:
    body = LEASE_CHANGES.encode([LEASE, LeaseEnded(), LeaseRevoked()])
    assert body.hex() == GOLDEN
    assert LEASE_CHANGES.decode(body) == (LEASE, LeaseEnded(), LeaseRevoked())


@given(st.lists(st.sampled_from(["lease", "ended", "revoked"]), max_size=8))
def test_the_newest_line_counts(names: list[str]) -> None:
    state: LeaseState | None = None
    last = ""
    for number, name in enumerate(names):
        change: LeaseChange = replace(LEASE, upto=number)
        if name != "lease":
            change = LeaseEnded() if name == "ended" else LeaseRevoked()
        line = 0 if state is None else state.number + 1
        # A lease of the life whose lease was revoked does not follow.
        may_follow = last != "revoked" if name == "lease" else last == "lease"
        if not may_follow:
            with pytest.raises(ConflictError):
                apply(state, line, 0, (change,))
            continue
        state, last = apply(state, line, 0, (change,)), name
        assert state.number == line
        assert state.in_force == (change if name == "lease" else None)


def test_what_cannot_follow() -> None:
    state = apply(None, 0, 0, (LEASE,))
    for number, era, changes in (
        (0, 0, (LEASE,)),
        (2, 0, (LEASE,)),
        (1, 1, (LEASE,)),
        (1, 0, ()),
        (1, 0, (LEASE, LEASE)),
        (1, 0, (replace(LEASE, session="m.data-2"),)),
        (1, 0, (replace(LEASE, volume=OTHER),)),
        (1, 0, (replace(LEASE, upto=4),)),
    ):
        with pytest.raises(ConflictError):
            apply(state, number, era, changes)
    revoked = apply(state, 1, 0, (LeaseRevoked(),))
    assert revoked.in_force is None
    assert revoked.lease == LEASE
    with pytest.raises(ConflictError, match="revoked"):
        apply(revoked, 2, 0, (LEASE,))
    another_life = replace(LEASE, began_ns=LEASE.began_ns + 1)
    assert apply(revoked, 2, 0, (another_life,)).in_force == another_life
    assert apply(apply(state, 1, 0, (LeaseEnded(),)), 2, 0, (LEASE,)).in_force == LEASE


def test_the_newest_line_alone_tells_the_state() -> None:
    """Because the lines before it may have been deleted."""
    assert begin_at(7, (LEASE,)) == LeaseState(7, LEASE, LEASE)
    for last in (LeaseEnded(), LeaseRevoked()):
        state = begin_at(7, (last,))
        assert state.in_force is None
        assert apply(state, 8, 0, (LEASE,)).in_force == LEASE
        with pytest.raises(ConflictError):
            apply(state, 8, 0, (LeaseEnded(),))
    for changes in ((), (LEASE, LEASE)):
        with pytest.raises(ConflictError):
            begin_at(7, changes)


TIMES = st.integers(0, 1 << 62)


@given(TIMES, TIMES, st.integers(0, 1 << 40))
def test_a_lease_is_overdue_after_its_ttl(written_ns: int, now_ns: int, ttl: int) -> None:
    age = now_ns - written_ns
    assert is_overdue(replace(LEASE, ttl=ttl), written_ns, now_ns) == (0 < ttl * 10**9 < age)
    assert not is_over(LEASE, written_ns, now_ns)
    assert is_over(LeaseEnded(), written_ns, now_ns)
    assert is_over(LeaseRevoked(), written_ns, now_ns) == (age > 30 * 86_400 * 10**9)


def test_other_bytes_are_refused() -> None:
    fields = msgspec.to_builtins(LEASE, builtin_types=(bytes,))
    for at, value in ((1, ""), (2, "vo-1"), (3, [[1, b"short"]]), (4, [[7, b"o" * 32]]), (6, "x")):
        bad = [*fields[:at], value, *fields[at + 1 :]]
        with pytest.raises(DamagedObjectError, match="line of a lease"):
            LEASE_CHANGES.decode(msgspec.msgpack.encode([bad]))
    with pytest.raises(UnsupportedFormatError, match="'paused'"):
        LEASE_CHANGES.decode(msgspec.msgpack.encode([["paused"]]))
    with pytest.raises(InvalidError):
        LEASE_CHANGES.encode([replace(LEASE, session="")])
