"""Whose turn it is, by rank: the client of the highest rank goes on as long as it can.

At a few steps, which chance has chosen before, the client that goes on falls to the lowest rank. So
one client may do all of its work while another one stands at one request, as often at this request
as at any other. If chance chooses anew at each step, that hardly ever happens, and most losses need
it. The idea is that of probabilistic concurrency testing (Burckhardt and others, 2010).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.sim.simulation import Client
from tests.sim.tasks import Task

FALLS = (1, 2, 3, 4, 6)
"""How often the one that goes on loses its rank, in one schedule."""
WITHIN = (60, 150, 400)
"""Among how many first steps these are."""


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
        ofs = {client: [task for task in client.tasks if task in ready] for client in self._order}
        can = {client for client, tasks in ofs.items() if tasks}
        first = next(client for client in self._order if client in can)
        if self._step in self._falls:
            self._order.remove(first)
            self._order.append(first)
            first = next(client for client in self._order if client in can)
        self._step += 1
        return ofs[first]
