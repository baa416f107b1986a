"""Which waiting calls are taken together: against a model, with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from volfs.containers.gathering import Batching, Gathering

RULES: dict[str, Batching | None] = {
    "plain": None,
    "pairs": Batching(2, 3.0),
    "many": Batching(5, 10.0),
    "hasty": Batching(3, 0.0),
}


@dataclass(eq=False)
class Waiting:
    method: str
    since: float

    @property
    def batching(self) -> Batching | None:
        return RULES[self.method]

    @property
    def rule(self) -> Batching:
        return self.batching or Batching(1, 0.0)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(sorted(RULES))),
        st.tuples(st.just("pass"), st.integers(0, 6)),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("remove"), st.integers(0, 20)),
    ),
    max_size=60,
)


def is_ripe(group: list[Waiting], now: float) -> bool:
    return len(group) >= group[0].rule.size or now >= group[0].since + group[0].rule.wait


@given(steps)
def test_a_batch_is_full_or_has_waited(steps: list[tuple[str, object]]) -> None:
    gathering: Gathering[Waiting] = Gathering()
    model: list[Waiting] = []
    now = 0.0
    for verb, what in steps:
        match verb, what:
            case "add", str(method):
                model.append(Waiting(method, now))
                gathering.add(model[-1])
            case "pass", int(seconds):
                now += seconds
            case "remove", int(number) if number < len(model):
                assert gathering.remove(model[number])
                assert not gathering.remove(model.pop(number))
            case "take", _:
                check_take(gathering, model, now)
        groups = {m: [c for c in model if c.method == m] for m in {c.method for c in model}}
        assert len(gathering) == len(model)
        assert gathering.count_batches() == sum(
            -(-len(group) // group[0].rule.size) for group in groups.values()
        )
        wait = gathering.compute_wait(now)
        if wait is None:
            assert not model
        else:
            assert (wait == 0) == any(is_ripe(group, now) for group in groups.values())
            assert any(is_ripe(group, now + wait) for group in groups.values())


def check_take(gathering: Gathering[Waiting], model: list[Waiting], now: float) -> None:
    batch = gathering.take(now)
    groups = [[c for c in model if c.method == m] for m in {c.method for c in model}]
    ripe = [group for group in groups if is_ripe(group, now)]
    if not ripe:
        assert batch == ()
        return
    (group,) = [group for group in ripe if group[0] is batch[0]]
    assert batch == tuple(group[: group[0].rule.size])
    assert batch[0].since == min(one[0].since for one in ripe)
    for call in batch:
        model.remove(call)


@given(st.lists(st.sampled_from(sorted(RULES)), max_size=30))
def test_at_the_end_all_are_taken(methods: list[str]) -> None:
    gathering: Gathering[Waiting] = Gathering()
    calls = [Waiting(method, float(number)) for number, method in enumerate(methods)]
    for call in calls:
        gathering.add(call)
    assert sorted(gathering.take_all(), key=lambda call: call.since) == calls
    assert not gathering
    assert gathering.take_any() == ()
