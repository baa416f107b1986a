"""The catalog against a dict: which lines may follow, and that a checkpoint loses nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from tests.model.logs.volumes import DIGEST, FACTS, OTHER
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    DamagedObjectError,
    InvalidError,
    NotFoundError,
    UnsupportedFormatError,
    VolfsError,
)
from volfs.model.logs.catalog_log import (
    CATALOG_CHANGES,
    NO_NAMES,
    CatalogChange,
    NameChanged,
    NameGiven,
    NameRemoved,
    SettingChosen,
    apply,
    decode_catalog,
    encode_catalog,
)

IDS = st.sampled_from([f"vo-{number:022}" for number in range(4)])
NAMES = st.sampled_from(["a", "b", "c"])
ENVIRONMENTS = st.sampled_from(["main", "prod"])
GOLDEN = (
    "94" "92a56e616d656498b976" "6f2d30303030303030303030303030303030303030303031"
    "a464617461" "02" "14" "cf17979cfe362a0000" "a76d6540686f7374" "c0" "a46d61696e"
    "94a772656e616d6564" "b9766f2d30303030303030303030303030303030303030303031"
    "a36e6577" "a470726f64"
    "92a772656d6f766564" "b9766f2d30303030303030303030303030303030303030303031"
    "93a773657474696e67" "a67461626c6573" "ae72656469733a2f2f686f73742f30"
)  # fmt: skip
ALL: list[CatalogChange] = [
    NameGiven(FACTS),
    NameChanged(FACTS.id, "new", "prod"),
    NameRemoved(FACTS.id),
    SettingChosen("tables", "redis://host/0"),
]


def test_golden_bytes() -> None:
    body = CATALOG_CHANGES.encode(ALL)
    assert body.hex() == GOLDEN
    assert CATALOG_CHANGES.decode(body) == tuple(ALL)


class CatalogMachine(RuleBasedStateMachine):
    """Any changes, right and wrong, one to three in a line."""

    def __init__(self) -> None:
        super().__init__()
        self.state = self.restored = NO_NAMES
        self.names: dict[str, tuple[str, str]] = {}
        self.settings: dict[str, str] = {}
        self.lines: list[tuple[CatalogChange, ...]] = []

    def offer(self, *changes: CatalogChange, error: type[VolfsError] | None) -> bool:
        number = self.state.number + 1
        assert CATALOG_CHANGES.decode(CATALOG_CHANGES.encode(changes)) == changes
        if error is not None:
            with pytest.raises(error):
                apply(self.state, number, 0, changes)
            return False
        self.state = apply(self.state, number, 0, changes)
        self.restored = apply(self.restored, number, 0, changes)
        self.lines.append(changes)
        return True

    @rule(volume=IDS, name=NAMES, environment=ENVIRONMENTS)
    def give(self, volume: str, name: str, environment: str) -> None:
        facts = replace(FACTS, id=volume, name=name, environment=environment)
        is_taken = volume in self.names or (environment, name) in self.names.values()
        if self.offer(NameGiven(facts), error=AlreadyExistsError if is_taken else None):
            self.names[volume] = (environment, name)

    @rule(volume=IDS, name=NAMES, environment=ENVIRONMENTS)
    def change(self, volume: str, name: str, environment: str) -> None:
        others = [key for each, key in self.names.items() if each != volume]
        is_taken = (environment, name) in others
        error = AlreadyExistsError if is_taken else None
        error = error if volume in self.names else NotFoundError
        if self.offer(NameChanged(volume, name, environment), error=error):
            self.names[volume] = (environment, name)

    @rule(volume=IDS)
    def remove(self, volume: str) -> None:
        error = None if volume in self.names else NotFoundError
        if self.offer(NameRemoved(volume), error=error):
            del self.names[volume]

    @rule(old=ENVIRONMENTS, new=st.sampled_from(["prod", "test"]))
    def rename_all(self, old: str, new: str) -> None:
        """Many names in one line: all of them, or none."""
        moved = {v: name for v, (environment, name) in self.names.items() if environment == old}
        if not moved or old == new:
            return
        taken = {key for volume, key in self.names.items() if volume not in moved}
        is_taken = any((new, name) in taken for name in moved.values())
        changes = [NameChanged(volume, name, new) for volume, name in moved.items()]
        if self.offer(*changes, error=AlreadyExistsError if is_taken else None):
            self.names.update({volume: (new, name) for volume, name in moved.items()})

    @rule(key=NAMES, value=st.sampled_from(["", "1", "2"]))
    def choose(self, key: str, value: str) -> None:
        if key in self.settings or value:
            assert self.offer(SettingChosen(key, value), error=None)
            self.settings[key] = value
            if not value:
                del self.settings[key]

    @rule(step=st.sampled_from([0, 2]), era=st.sampled_from([0, 1]))
    def come_late(self, step: int, era: int) -> None:
        for number, at in ((self.state.number + step, era), (self.state.number + 1, 1)):
            with pytest.raises(ConflictError):
                apply(self.state, number, at, (SettingChosen("a", "b"),))

    @rule()
    def restart(self) -> None:
        if self.state.number >= 0:
            data = encode_catalog(self.state, DIGEST)
            self.restored, digest = decode_catalog(data)
            assert (digest, encode_catalog(self.restored, DIGEST)) == (DIGEST, data)

    @invariant()
    def they_agree(self) -> None:
        assert self.restored == self.state
        found = {v: (facts.environment, facts.name) for v, facts in self.state.volumes.items()}
        assert found == self.names
        assert {volume: key for key, volume in self.state.names.items()} == self.names
        assert dict(self.state.settings) == self.settings
        for volume, (environment, name) in self.names.items():
            facts = self.state.find(name, environment)
            assert facts is not None
            assert facts.id == volume
        assert self.state.find("nobody", "main") is None

    def teardown(self) -> None:
        again = NO_NAMES
        for number, changes in enumerate(self.lines):
            again = apply(again, number, 0, changes)
        assert again == self.state


TestCatalogMachine = CatalogMachine.TestCase
TestCatalogMachine.settings = settings(max_examples=20, stateful_step_count=25)


def test_a_line_is_whole_or_nothing() -> None:
    state = apply(None, 0, 0, (NameGiven(FACTS),))
    twice = (NameChanged(FACTS.id, "x", "main"), NameGiven(FACTS))
    for changes in (twice, ()):
        with pytest.raises((AlreadyExistsError, ConflictError)):
            apply(state, 1, 0, changes)
    assert state.find("data", "main") == FACTS
    swap = (NameRemoved(FACTS.id), NameGiven(replace(FACTS, id=OTHER)))
    assert apply(state, 1, 0, swap).find("data", "main") == replace(FACTS, id=OTHER)


def test_what_is_no_catalog_is_refused() -> None:
    two = (FACTS, replace(FACTS, id=OTHER))
    for volumes in (two, (FACTS, replace(FACTS, name="other"))):
        data = msgspec.msgpack.encode([3, DIGEST, volumes, []])
        with pytest.raises(DamagedObjectError, match="two volumes of one name or id"):
            decode_catalog(data)
    data = encode_catalog(apply(None, 0, 0, (NameGiven(FACTS),)), DIGEST)
    for bad in (data[:-1], data + b"\0", b"", b"\xc0"):
        with pytest.raises(DamagedObjectError):
            decode_catalog(bad)
    with pytest.raises(UnsupportedFormatError, match="'quota'"):
        CATALOG_CHANGES.decode(msgspec.msgpack.encode([["quota", 5]]))
    with pytest.raises(InvalidError):
        CATALOG_CHANGES.encode([SettingChosen("", "x")])
