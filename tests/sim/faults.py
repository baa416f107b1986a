"""What can become of one request to the simulated bucket, and how often each happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum

from volfs.buckets.answers import FailureKind


class Fate(Enum):
    """What becomes of a request."""

    DONE = "it is carried out, and answered"
    LOST = "it never arrives; no answer comes"
    UNANSWERED = "it is carried out; the answer gets lost"
    LATE = "no answer comes; it may still arrive at any later moment"
    TWICE = "it is carried out twice; the second answer comes"
    ECHO = "it is carried out and answered; a copy of it may arrive at any later moment"
    CONFLICT = "refused with 409: others write the same object"
    BUSY = "refused with 429 or 503: fewer requests, please"
    FAULT = "refused with 500"
    DENIED = "refused with 403"


REFUSALS = {
    Fate.CONFLICT: (FailureKind.RACE, 409),
    Fate.BUSY: (FailureKind.BUSY, 503),
    Fate.FAULT: (FailureKind.SERVER, 500),
    Fate.DENIED: (FailureKind.DENIED, 403),
}
SILENCES = (FailureKind.TIMEOUT, FailureKind.RESET)
DISTURBANCES = (
    Fate.LOST,
    Fate.UNANSWERED,
    Fate.LATE,
    Fate.TWICE,
    Fate.ECHO,
    Fate.CONFLICT,
    Fate.BUSY,
    Fate.FAULT,
)
"""What a request may meet in any schedule. DENIED is for schedules that ask for it."""


OF_READS = {
    Fate.UNANSWERED: Fate.LOST,
    Fate.LATE: Fate.LOST,
    Fate.TWICE: Fate.DONE,
    Fate.ECHO: Fate.DONE,
}
"""What these come to for a request that changes nothing."""


class Weather:
    """How often each disturbance happens in one schedule.

    Each schedule draws its own weather: some have one kind of disturbance and much of it, some
    have a little of everything, some have none.
    """

    def __init__(
        self, chance: random.Random, kinds: Sequence[Fate] = DISTURBANCES, deaths: bool = True
    ) -> None:
        self.calm = chance.choice((0.3, 0.6, 0.8, 0.95, 1.0))
        """The share of requests that nothing happens to."""
        some = chance.randint(1, len(kinds))
        self.kinds = chance.sample(list(kinds), some)
        self.death = chance.choice((0.0, 0.0, 0.01, 0.03)) if deaths else 0.0
        """The chance that a client dies at a step."""
        self.landing = chance.choice((0.02, 0.1, 0.3))
        """The chance that a request which is still on its way arrives at a step."""

    def choose(self, chance: random.Random, *, writes: bool) -> Fate:
        if chance.random() < self.calm:
            return Fate.DONE
        fate = chance.choice(self.kinds)
        return fate if writes else OF_READS.get(fate, fate)
