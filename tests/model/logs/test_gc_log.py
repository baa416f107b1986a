"""The log of gc against a slow model: every pack has one fate, and no slow run changes it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.model.logs.volumes import DIGEST, make_logged, name_pack
from volfs.errors import ConflictError, DamagedObjectError, UnsupportedFormatError
from volfs.model.logs.gc_log import (
    GC_CHANGES,
    GcChange,
    GcState,
    PacksCondemned,
    PacksDoomed,
    PacksReturned,
    apply,
    decode_gc,
    encode_gc,
    list_condemned,
)

NAMES_OF_PACKS = st.sampled_from([name_pack(number) for number in range(3)])
PACKS = st.lists(NAMES_OF_PACKS, max_size=2)
SOME_PACKS = st.lists(NAMES_OF_PACKS, min_size=1, max_size=2)
ALL: list[GcChange] = [
    PacksCondemned((name_pack(1),), (make_logged(2),), ((name_pack(1), (name_pack(2),)),), 5),
    PacksDoomed((name_pack(1),), (name_pack(3),)),
    PacksReturned((name_pack(1),)),
]
GOLDEN = (
    "9395a9636f6e64656d6e656491ba62616161616161616161616161616161616161616161616161619194"
    "ba6361616161616161616161616161616161616161616161616161cd138acd0fa00a9192ba6261616161"
    "61616161616161616161616161616161616161616191ba63616161616161616161616161616161616161"
    "616161616161610593a6646f6f6d656491ba626161616161616161616161616161616161616161616161"
    "616191ba646161616161616161616161616161616161616161616161616192a872657475726e656491ba"
    "6261616161616161616161616161616161616161616161616161"
)


def test_golden_bytes() -> None:
    body = GC_CHANGES.encode(ALL)
    assert body.hex() == GOLDEN
    assert GC_CHANGES.decode(body) == tuple(ALL)


class GcMachine(RuleBasedStateMachine):
    """The model keeps the events of each pack: ("condemned" | "returned" | "doomed", line)."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, list[tuple[str, int]]] = {}
        self.lines: list[tuple[GcChange, ...]] = []
        self.swept = 0

    @initialize()
    def begin(self) -> None:
        self.lines = [()]
        self.state = self.restored = apply(None, 0, 0, self.lines[0])

    def last(self, name: str) -> tuple[str, int]:
        return self.events.get(name, [("", 0)])[-1]

    def is_condemned(self, name: str) -> bool:
        return self.last(name)[0] == "condemned"

    def offer(self, change: GcChange, is_right: bool) -> int | None:
        number = self.state.number + 1
        assert GC_CHANGES.decode(GC_CHANGES.encode([change])) == (change,)
        if not is_right:
            with pytest.raises(ConflictError):
                apply(self.state, number, number, (change,))
            return None
        self.state = apply(self.state, number, number, (change,))
        self.restored = apply(self.restored, number, number, (change,))
        self.lines.append((change,))
        return number

    @rule(packs=SOME_PACKS, copied=st.booleans(), swept=st.integers(0, 8))
    def condemn(self, packs: list[str], copied: bool, swept: int) -> None:
        copies = (make_logged(100),) if copied else ()
        forwards = ((packs[0], (copies[0].name,)),) if copied else ()
        change = PacksCondemned(tuple(packs), copies, forwards, swept)
        is_doomed = any(
            self.last(each)[0] == "doomed" and self.last(each)[1] > self.swept for each in packs
        )
        is_right = len(set(packs)) == len(packs) and not any(map(self.is_condemned, packs))
        is_past = swept <= self.state.number
        number = self.offer(change, is_right and is_past and not is_doomed)
        if number is not None:
            self.swept = max(self.swept, swept)
            for each in packs:
                self.events.setdefault(each, []).append(("condemned", number))

    @rule(packs=PACKS, back=PACKS)
    def doom(self, packs: list[str], back: list[str]) -> None:
        both = [*packs, *back]
        is_right = len(set(both)) == len(both) and all(map(self.is_condemned, both))
        number = self.offer(PacksDoomed(tuple(packs), tuple(back)), is_right)
        if number is not None:
            for each in both:
                fate = "doomed" if each in packs else "returned"
                self.events[each].append((fate, number))

    @rule(packs=SOME_PACKS)
    def give_back(self, packs: list[str]) -> None:
        is_right = len(set(packs)) == len(packs) and all(map(self.is_condemned, packs))
        number = self.offer(PacksReturned(tuple(packs)), is_right)
        if number is not None:
            for each in packs:
                self.events[each].append(("returned", number))

    @rule(step=st.sampled_from([0, 2]), era=st.sampled_from([-1, 1]))
    def come_late(self, step: int, era: int) -> None:
        number = self.state.number
        for at, of in ((number + step, number + step), (number + 1, number + 1 + era)):
            with pytest.raises(ConflictError):
                apply(self.state, at, of, (PacksReturned((name_pack(1),)),))
        for changes in ((), (PacksReturned((name_pack(1),)),) * 2):
            with pytest.raises(ConflictError):
                apply(self.state, number + 1, number + 1, changes)

    @rule()
    def restart(self) -> None:
        data = encode_gc(self.state, DIGEST)
        self.restored, digest = decode_gc(data)
        assert (digest, encode_gc(self.restored, DIGEST)) == (DIGEST, data)

    @invariant()
    def they_agree(self) -> None:
        state = getattr(self, "state", None)
        if state is None:
            return
        assert self.restored == state
        now = {name: self.last(name) for name in self.events}
        found = {fate: {n: at for n, (f, at) in now.items() if f == fate} for fate in FATES}
        assert dict(state.condemned) == found["condemned"]
        assert dict(state.returned) == found["returned"]
        assert set(state.dooms) <= set(found["doomed"])
        for after in (0, state.number // 2, state.number):
            closing = {n for n, at in found["condemned"].items() if at > after}
            assert state.list_closing(after) == closing
        eras = set(found["condemned"].values())
        assert set(state.copies) <= eras
        ever = {name for name, events in self.events.items() if events}
        assert list_condemned(self.lines) == ever

    def teardown(self) -> None:
        again: GcState | None = None
        for number, changes in enumerate(self.lines):
            again = apply(again, number, number, changes)
        assert again == getattr(self, "state", None)


FATES = ("condemned", "doomed", "returned")
TestGcMachine = GcMachine.TestCase
TestGcMachine.settings = settings(max_examples=25, stateful_step_count=25)


def run(*changes: GcChange) -> GcState:
    state = apply(None, 0, 0, ())
    for number, change in enumerate(changes, 1):
        state = apply(state, number, number, (change,))
    return state


def test_a_run_that_goes_on_with_another_knows_its_copies() -> None:
    one, two = name_pack(1), name_pack(2)
    first = PacksCondemned((one,), (make_logged(7),), ((one, (name_pack(7),)),))
    state = run(first, PacksCondemned((two,)))
    assert state.list_closing(0) == {one, two}
    assert state.list_closing(1) == {two}
    assert state.list_copies(0) == [(first.copies, first.forwards)]
    assert state.list_copies(1) == []
    assert run(first, PacksDoomed((one,))).list_copies(0) == []


def test_a_pack_that_was_condemned_again_is_not_opened_by_an_older_return() -> None:
    one = name_pack(1)
    state = run(PacksCondemned((one,)), PacksReturned((one,)))
    assert state.returned[one] == 2
    again = run(PacksCondemned((one,)), PacksReturned((one,)), PacksCondemned((one,)))
    assert one not in again.returned


def test_a_doomed_pack_is_forgotten_when_it_was_swept() -> None:
    one, two = name_pack(1), name_pack(2)
    doomed = (PacksCondemned((one,)), PacksDoomed((one,)))
    assert one in run(*doomed, PacksCondemned((two,), swept=1)).dooms
    assert one not in run(*doomed, PacksCondemned((two,), swept=2)).dooms
    with pytest.raises(ConflictError, match="condemned already"):
        run(*doomed, PacksCondemned((one,)))


def test_what_is_no_log_of_gc_is_refused() -> None:
    for number, changes in ((0, (PacksReturned((name_pack(1),)),)), (1, ())):
        with pytest.raises(ConflictError):
            apply(None, number, number, changes)
    one = name_pack(1)
    for tables in (([(one, 1)], [(one, 2)], []), ([(one, 1)], [], [(one, 2)])):
        with pytest.raises(DamagedObjectError, match="two fates"):
            decode_gc(msgspec.msgpack.encode([3, DIGEST, *tables, []]))
    data = encode_gc(run(), DIGEST)
    for bad in (data[:-1], data + b"\0", b"", b"\xc0"):
        with pytest.raises(DamagedObjectError):
            decode_gc(bad)
    with pytest.raises(UnsupportedFormatError, match="'paused'"):
        GC_CHANGES.decode(msgspec.msgpack.encode([["paused"]]))
