"""Moving a simulation by hand, for interleavings that have a name."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.door import Request
from tests.sim.faults import Fate
from tests.sim.simulation import Client, Simulation
from tests.sim.tasks import Task

MOST = 500


def step(client: Client, fate: Fate = Fate.DONE) -> None:
    """Let the client go on once: its request meets ``fate``, or its wait is over."""
    task = _find_next(client)
    if isinstance(task.wait, Request):
        client.sim.settle(task, fate)
    else:
        client.sim.run(task)


def step_until(client: Client, verb: str, key: str = "") -> Task:
    """Let the client go on until one of its tasks has sent such a request; that task. An empty
    verb stands for any."""
    for _ in range(MOST):
        for task, request in client.iter_requests():
            if verb in (request.verb, "") and key in request.key:
                return task
        step(client)
    raise AssertionError(f"{client.name} never sends {verb} {key}")


def finish(*clients: Client) -> None:
    """Let clients go on to their ends, one after the other, with nothing disturbed."""
    for client in clients:
        for _ in range(MOST):
            if client.is_done:
                break
            step(client)
        assert client.is_done, f"{client.name} does not end"
        if client.main.error is not None:
            raise client.main.error


def run_alone(live: Callable[[Client], None]) -> Simulation:
    """One client in a bucket that nothing disturbs."""
    sim = Simulation()
    finish(sim.add("a", live))
    return sim


def _find_next(client: Client) -> Task:
    """The first task of the client that can go on."""
    waiting = [task for task in client.tasks if not task.is_over and task.wait is not None]
    for task in waiting:
        assert task.wait is not None
        if isinstance(task.wait, Request) or task.wait.is_so():
            return task
    for task in waiting:
        if task.wait is not None and task.wait.until is not None:
            return task
    raise AssertionError(f"{client.name} is over, or cannot go on")
