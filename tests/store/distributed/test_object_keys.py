"""The names of objects: each is taken apart to what it was made of, and nothing else is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.model.text import to_text
from volfs.store.distributed.place import object_keys
from volfs.store.identity import make_id

numbers = st.integers(0, object_keys.LAST_NUMBER)
VOLUME = "vo-" + "a" * 22
LOGS = [
    object_keys.catalog_log(),
    object_keys.gc_log(),
    object_keys.secrets_log(),
    object_keys.volume_log(VOLUME),
    object_keys.lease_log("machine.data-1"),
]


@given(numbers, numbers)
def test_lines_are_listed_upward_and_checkpoints_downward(one: int, two: int) -> None:
    for log in LOGS:
        assert log.find_number(log.line(one)) == one
        assert (log.line(one) < log.line(two)) == (one < two)
    for log in LOGS[:-1]:
        assert log.find_checkpoint_number(log.checkpoint(one)) == one
        assert (log.checkpoint(one) < log.checkpoint(two)) == (one > two)


def test_no_two_things_have_one_name() -> None:
    keys = [log.line(1) for log in LOGS] + [log.checkpoint(1) for log in LOGS[:-1]]
    keys += [object_keys.FACTS, object_keys.history_name(VOLUME, 1), object_keys.pack_key("a" * 26)]
    keys += [object_keys.segment_name(VOLUME, "a" * 26), object_keys.piece_name(VOLUME, "a" * 26)]
    assert len(set(keys)) == len(keys)
    for log in LOGS:
        found = [key for key in keys if log.find_number(key) is not None]
        assert found == [log.line(1)]


def test_a_lease_has_no_checkpoints() -> None:
    assert LOGS[-1].find_checkpoint_number(f"{1:016x}") is None


@given(st.binary(min_size=1).map(to_text))
def test_the_log_of_a_lease_tells_its_session(session: str) -> None:
    """Or is named by a hash, because a key has few bytes. No two sessions have one log."""
    lines = object_keys.lease_log(session).lines
    assert len(lines) < 255
    assert object_keys.find_lease_session(lines) in (session, None)
    long = object_keys.lease_log(session + "/" * 100)
    assert object_keys.find_lease_session(long.lines) is None
    assert long.lines != object_keys.lease_log(long.lines.split("/")[-2]).lines


def test_names_of_packs() -> None:
    name = object_keys.make_random_name(os.urandom)
    assert len(name) == 26
    assert object_keys.make_random_name(lambda size: bytes(size)) == "a" * 26
    assert object_keys.pack_key(name) == f"packs/{name[:2]}/{name}"
    assert object_keys.find_pack_name(object_keys.pack_key(name)) == name
    for key in (f"packs/aa/{'b' * 26}", f"packs/aa/{'a' * 25}", f"packs/{'a' * 26}", "packs/aa/"):
        assert object_keys.find_pack_name(key) is None, key


def test_volumes() -> None:
    for prefix in ("vo", "sv"):
        volume = make_id(prefix)
        assert object_keys.find_volume_id(object_keys.volume_log(volume).line(3)) == volume
        assert object_keys.find_volume_id(object_keys.volume_home(volume)) == volume
    for key in ("v/", "v/x/log/0", f"x/{VOLUME}/log", f"v/{VOLUME}y/log/1", VOLUME):
        assert object_keys.find_volume_id(key) is None, key


def test_sessions_spread_and_stay_apart() -> None:
    """Also those whose names have a slash in them."""
    places = {object_keys.lease_log(f"machine.data-{number}").lines for number in range(1000)}
    assert len(places) == 1000
    assert len({place.split("/")[1] for place in places}) > 200
    odd = [object_keys.lease_log(name).lines for name in ("a/b", "a%2Fb", "a", "a.b")]
    assert len(set(odd)) == 4
    assert {place.count("/") for place in odd} == {3}


@pytest.mark.parametrize("number", [-1, object_keys.LAST_NUMBER + 1])
def test_what_is_no_number(number: int) -> None:
    with pytest.raises(ValueError, match="no number"):
        LOGS[0].line(number)
