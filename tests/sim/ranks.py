"""Whose turn it is, by rank: the client of the highest rank goes on as long as it can.

Chance chooses a few steps before the schedule begins. At each of these, the client that goes on
falls to the lowest rank. So one client may do all of its work while another one waits at a request,
and each request is equally likely to be that one. Most losses need such a schedule. If chance chose
a client anew at each step, such a schedule would hardly ever come. The idea is that of
probabilistic concurrency testing (Burckhardt and others, 2010).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.sim.simulation import Client
from tests.sim.tasks import Task

FALLS = (1, 2, 3, 4, 6)
"""How often a client falls to the lowest rank in one schedule."""
WITHIN = (60, 150, 400)
"""The steps at which clients fall are among so many first steps."""


class Ranks:
    """The ranks of the clients of one schedule."""

    def __init__(self, chance: random.Random, clients: Sequence[Client]) -> None:
        self._order = list(clients)
        chance.shuffle(self._order)
        within = chance.choice(WITHIN)
        self._falls = {chance.randrange(within) for _ in range(chance.choice(FALLS))}
        self._step = 0

    def choose(self, ready: Sequence[Task]) -> list[Task]:
        """Those of the tasks whose client has the highest rank."""
        able = {client: [task for task in client.tasks if task in ready] for client in self._order}
        first = next(client for client in self._order if able[client])
        if self._step in self._falls:
            self._order.remove(first)
            self._order.append(first)
            first = next(client for client in self._order if able[client])
        self._step += 1
        return able[first]
