"""The time that has passed of a term, by clocks that are set, go back, or start anew."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.store.clock import Moment, Steady
from volfs.store.elapsed import Wait, begin_wait, decode_wait, look_again, wait_since

HOUR = 3600 * 10**9
DAY = 24 * HOUR
YEAR = 365 * DAY
I64 = 1 << 63


class Machine:
    """Its true time, its run, and what its wall clock says."""

    def __init__(self) -> None:
        self.true = 20 * YEAR
        self.boot = 1
        self.up = HOUR
        self.error = 0

    def pass_time(self, ns: int) -> None:
        self.true += ns
        self.up += ns

    def restart(self, away: int, up: int = 0) -> None:
        """Another run; ``up``: of another machine, which has been running for so long."""
        self.true += away
        self.boot, self.up = self.boot + 1, up

    @property
    def now(self) -> Moment:
        wall = max(-I64, min(I64 - 1, self.true + self.error))
        return Moment(Steady(self.boot.to_bytes(16, "big"), self.up), wall)


class Pack:
    """In quarantine from now on; each look is a gc."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.wait = begin_wait(machine.now)

    def look(self, grace: int = DAY) -> int:
        waited, wait = look_again(self.wait, self.machine.now, grace)
        self.wait = wait or self.wait
        return waited


def test_in_one_run_the_wall_clock_says_nothing() -> None:
    machine = Machine()
    machine.error = 10 * YEAR  # put aside in the future
    pack = Pack(machine)
    machine.pass_time(DAY - 1)
    for error in (0, -50 * YEAR, 10 * YEAR, 300 * YEAR):
        machine.error = error
        assert pack.look() == DAY - 1
    machine.pass_time(1)
    assert pack.look() == DAY


@pytest.mark.parametrize("error", [10 * YEAR, 300 * YEAR])
def test_a_clock_far_ahead_after_a_restart_ends_no_grace(error: int) -> None:
    machine = Machine()
    pack = Pack(machine)
    machine.restart(HOUR)
    machine.pass_time(HOUR)
    machine.error = error
    assert pack.look() < DAY
    machine.error = 0
    machine.pass_time(HOUR)
    assert pack.look() < DAY


def test_a_pack_that_was_put_aside_in_1970() -> None:
    machine = Machine()
    machine.error = -machine.true
    pack = Pack(machine)
    machine.restart(0)
    machine.error = 0
    machine.pass_time(HOUR)
    assert pack.look() < DAY
    machine.pass_time(DAY)
    assert pack.look() >= DAY


def test_a_machine_that_sleeps_at_night_gets_there() -> None:
    machine = Machine()
    pack = Pack(machine)
    looks = 0
    while pack.look() < DAY:
        looks += 1
        machine.restart(7 * DAY)
        machine.pass_time(HOUR // 6)
    assert looks == 2


@pytest.mark.parametrize("error", [0, -YEAR, YEAR])
def test_a_store_that_is_brought_to_a_machine_that_runs_for_long(error: int) -> None:
    machine = Machine()
    pack = Pack(machine)
    machine.error = error
    machine.restart(HOUR, up=YEAR)
    assert pack.look() <= DAY // 2
    machine.pass_time(DAY)
    assert pack.look() >= DAY


def test_a_row_of_an_older_volfs() -> None:
    machine = Machine()
    for since in (machine.true - 9 * DAY, machine.true + YEAR, -I64):
        waited, wait = look_again(wait_since(since), machine.now, DAY)
        assert waited <= DAY // 2
        assert wait is not None
        assert decode_wait(wait.encode()) == wait


class Step(NamedTuple):
    what: str
    ns: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["pass", "pass", "restart", "set", "look"]),
        st.integers(0, 40 * HOUR) | st.sampled_from([0, HOUR, DAY, 8 * DAY]),
    ),
    max_size=25,
)
errors = st.integers(-30 * YEAR, 30 * YEAR) | st.sampled_from([0, -20 * YEAR, 10 * YEAR, I64])


@given(steps, st.data(), st.sampled_from([1, HOUR, DAY, 30 * DAY]))
def test_any_life_of_a_machine(life: list[Step], data: st.DataObject, grace: int) -> None:
    """Whatever its clock says, no more than half of the grace comes from each restart."""
    machine = Machine()
    machine.error = data.draw(errors)
    pack = Pack(machine)
    began, restarts, before = machine.true, 0, 0
    for what, ns in [*life, Step("look", 0)]:
        if what == "pass":
            machine.pass_time(ns)
        elif what == "restart":
            machine.restart(ns, up=data.draw(st.sampled_from([0, 0, DAY, YEAR])))
            restarts, before = restarts + 1, 0  # of the run that ended, half of the grace counts
        elif what == "set":
            machine.error = data.draw(errors)
        else:
            waited = pack.look(grace)
            assert before <= waited <= machine.true - began + restarts * (grace // 2)
            before = waited
    machine.pass_time(grace)
    assert pack.look(grace) >= grace
    assert isinstance(pack.wait, Wait)
