"""Plans of gc: what is in use is never dropped, and carrying a plan out leaves nothing to plan."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.collection import CollectionPlan, PackUse, plan_collection
from volfs.model.pack import PACK_HEADER_SIZE

flags = st.tuples(st.booleans(), st.booleans())


@st.composite
def uses(draw: st.DrawFn) -> list[PackUse]:
    made = []
    for pack in range(draw(st.integers(0, 8))):
        live = draw(st.integers(0, 3))
        dead = draw(st.integers(0, 3))
        live_bytes = live * draw(st.integers(64, 200))
        durable = PACK_HEADER_SIZE + live_bytes + dead * 100 + draw(st.sampled_from((0, 300)))
        if not live and not dead and draw(st.booleans()):
            durable = 0
        size = draw(st.sampled_from((0, durable, durable + 500)))
        made.append(PackUse(pack, durable, size, live, live_bytes, dead, *draw(flags)))
    return made


@given(uses())
def test_what_is_in_use_is_never_dropped(found: list[PackUse]) -> None:
    plan = plan_collection(found)
    assert all(use.live_objects == 0 for use in plan.drop)
    assert all(use.live_objects > 0 for use in plan.rewrite)
    assert not {use.pack for use in plan.drop} & {use.pack for use in plan.rewrite}


@given(uses())
def test_what_somebody_writes_to_is_left(found: list[PackUse]) -> None:
    plan = plan_collection(found)
    assert not any(use.is_busy for use in (*plan.drop, *plan.rewrite))
    assert all(use.is_busy for use in plan.busy)


@given(uses())
def test_rewriting_wins_more_than_it_copies(found: list[PackUse]) -> None:
    for use in plan_collection(found).rewrite:
        assert use.size < use.durable or use.dead_bytes > use.live_bytes or use.is_former


@given(uses())
def test_a_plan_that_was_carried_out_leaves_nothing_to_plan(found: list[PackUse]) -> None:
    free = [use._replace(is_busy=False) for use in found]
    plan = plan_collection(free)
    gone = {use.pack for use in (*plan.drop, *plan.rewrite)}
    left = [use for use in free if use.pack not in gone]
    copied = sum(use.live_bytes for use in plan.rewrite)
    objects = sum(use.live_objects for use in plan.rewrite)
    if copied:
        size = PACK_HEADER_SIZE + copied
        left.append(PackUse(99, size, size, objects, copied))
    assert plan_collection(left).is_empty


def test_an_allocated_pack_without_a_file_is_left_to_writers() -> None:
    assert plan_collection([PackUse(1, 0, 0), PackUse(2, 0, PACK_HEADER_SIZE)]) == CollectionPlan()


def test_the_tail_of_a_dead_upload_is_dropped() -> None:
    use = PackUse(1, 0, 5000)
    assert plan_collection([use]).drop == (use,)


def test_a_lost_file_with_live_objects_is_not_dropped() -> None:
    assert plan_collection([PackUse(1, 1000, 0, 3, 900)]).drop == ()
