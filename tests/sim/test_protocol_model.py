"""The protocol of logs, leases, forks and gc loses nothing, in whatever order its steps happen.

The short form visits the small scenarios, the long form all of them; and then it takes away each
rule of the protocol in turn, and must find a loss.
"""

from __future__ import annotations

import pytest

from tests.sim.protocol_actors import (
    committer,
    dying_gc,
    expirer,
    foreign,
    forker,
    gc,
    landing,
    mounter,
    undeleter,
    waiting_committer,
)
from tests.sim.protocol_model import RULES, explore

SCENARIOS = {
    "commit R x gc": lambda: [("commit", committer("a", "V", 3, "R")), ("gc", gc())],
    "commit P x expire x gc": lambda: [
        ("commit", committer("a", "V", 3)),
        ("expire", expirer(1)),
        ("gc", gc()),
    ],
    "2 commits x expire x gc": lambda: [
        ("commit", committer("a", "V", 3)),
        ("commit2", committer("b", "V", 4, "R")),
        ("expire", expirer(1)),
        ("gc", gc()),
    ],
    "commit that may land later x expire x gc": lambda: [
        ("commit", committer("a", "V", 3, "P", True)),
        ("commit2", committer("b", "V", 4, "none", True)),
        ("land", landing()),
        ("expire", expirer(1)),
        ("gc", gc()),
    ],
    "commit x expire x 2 gc": lambda: [
        ("commit", committer("a", "V", 3)),
        ("expire", expirer(1)),
        ("gc", gc()),
        ("gc2", gc(fine=False)),
    ],
    "mount x expire x gc (revoking)": lambda: [
        ("mount", mounter()),
        ("expire", expirer(1)),
        ("gc", gc()),
    ],
    "mount x expire x 2 gc (revoking)": lambda: [
        ("mount", mounter()),
        ("expire", expirer(1)),
        ("gc", gc(fine=False)),
        ("gc2", gc(False, fine=False)),
    ],
    "mount x expire x gc (no revoking)": lambda: [
        ("mount", mounter()),
        ("expire", expirer(1)),
        ("gc", gc(False)),
    ],
    "mount x expire x commit x gc": lambda: [
        ("mount", mounter()),
        ("expire", expirer(1)),
        ("commit", committer("a", "V", 3)),
        ("gc", gc()),
    ],
    "commit R, mount of it, expire of it x gc": lambda: [
        ("commit", committer("a", "V", 3, "R")),
        ("mount", mounter(base=3, commits=False, wait=True)),
        ("expire3", expirer(3, wait=True)),
        ("gc", gc(False)),
    ],
    "commit R, mount of it, expire of it x gc (revoking, commits)": lambda: [
        ("commit", committer("a", "V", 3, "R")),
        ("mount", mounter(base=3, wait=True)),
        ("expire3", expirer(3, wait=True)),
        ("gc", gc()),
    ],
    "fork x expire x gc": lambda: [("fork", forker()), ("expire", expirer(1)), ("gc", gc())],
    "fork x commit R in fork x gc": lambda: [
        ("fork", forker()),
        ("commitX", waiting_committer("x", "X", 2, "R")),
        ("gc", gc()),
    ],
    "fork x expire x commit R in fork x gc": lambda: [
        ("fork", forker()),
        ("expire", expirer(1)),
        ("commitX", waiting_committer("x", "X", 2, "R")),
        ("gc", gc()),
    ],
    "foreign hit on R x gc": lambda: [("foreign", foreign()), ("gc", gc())],
    "foreign hit on R x commit R x gc": lambda: [
        ("foreign", foreign()),
        ("commit", committer("a", "V", 3, "R")),
        ("gc", gc()),
    ],
    "commit R, expire of it, commit R again x 2 gc": lambda: [
        ("commit", committer("a", "V", 3, "R")),
        ("expire3", expirer(3, wait=True)),
        ("commit4", committer("b", "V", 4, "R")),
        ("gc", gc(fine=False)),
        ("gc2", gc(fine=False)),
    ],
    "commit P x expire x commit R x 2 gc": lambda: [
        ("commit", committer("a", "V", 3)),
        ("expire", expirer(1)),
        ("commit4", committer("b", "V", 4, "R")),
        ("gc", gc(fine=False)),
        ("gc2", gc(fine=False)),
    ],
    "commit R x expire x a gc that dies x 2 gc": lambda: [
        ("commit", committer("a", "V", 3, "R")),
        ("expire", expirer(1)),
        ("dying", dying_gc()),
        ("gc", gc(False, fine=False)),
        ("gc2", gc(False, fine=False)),
    ],
    "undelete x commit R x gc": lambda: [
        ("undelete", undeleter()),
        ("commit", committer("a", "V", 3, "R")),
        ("gc", gc()),
    ],
}

STATES = {
    "commit R x gc": 138,
    "commit P x expire x gc": 1_048,
    "2 commits x expire x gc": 11_261,
    "commit that may land later x expire x gc": 41_530,
    "commit x expire x 2 gc": 74_478,
    "mount x expire x gc (revoking)": 6_114,
    "mount x expire x 2 gc (revoking)": 286_622,
    "mount x expire x gc (no revoking)": 3_655,
    "mount x expire x commit x gc": 51_871,
    "commit R, mount of it, expire of it x gc": 2_675,
    "commit R, mount of it, expire of it x gc (revoking, commits)": 10_108,
    "fork x expire x gc": 1_653,
    "fork x commit R in fork x gc": 930,
    "fork x expire x commit R in fork x gc": 6_306,
    "foreign hit on R x gc": 298,
    "foreign hit on R x commit R x gc": 1_894,
    "commit R, expire of it, commit R again x 2 gc": 421_503,
    "commit P x expire x commit R x 2 gc": 1_003_401,
    "commit R x expire x a gc that dies x 2 gc": 305_648,
    "undelete x commit R x gc": 1_041,
}
"""How many states each scenario has. Another number is another model: say why."""
LONG = {name for name, states in STATES.items() if states > 20_000}
SHOWN_BY = {
    "doom_cas": ["undelete x commit R x gc", "commit R, expire of it, commit R again x 2 gc"],
    "close_all": ["commit R x expire x a gc that dies x 2 gc"],
    "return_first": ["commit R, expire of it, commit R again x 2 gc"],
    "adopt_checked": ["commit R, expire of it, commit R again x 2 gc"],
}
"""Scenarios that show the loss without a rule, where that takes more than one gc."""
SMALL = [name for name in SCENARIOS if "2 gc" not in name] + ["commit x expire x 2 gc"]


def test_every_scenario_is_counted() -> None:
    assert STATES.keys() == SCENARIOS.keys()
    assert len(STATES) == 20


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in LONG])
def test_nothing_is_lost(name: str) -> None:
    assert explore(SCENARIOS[name]()) == (STATES[name], None, [])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name in LONG])
def test_nothing_is_lost_by_many(name: str) -> None:
    assert explore(SCENARIOS[name]()) == (STATES[name], None, [])


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_something_is_lost(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, rule, False)
    found = (explore(SCENARIOS[name](), 800_000)[1] for name in SHOWN_BY.get(rule, SMALL))
    assert any(problem not in (None, "LIMIT") for problem in found)
