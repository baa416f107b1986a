"""The rule by which failed calls are run again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from volfs.errors import InvalidError


@dataclass(frozen=True)
class Retries:
    """The number of retries of a failed call, and the seconds before each. InvalidError."""

    max_retries: int
    backoff_coefficient: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 60.0

    def __post_init__(self) -> None:
        _check_retries(self)

    def delay(self, attempt: int) -> float:
        """Seconds before the retry of this number; the first has number 1."""
        return min(self.max_delay, self.initial_delay * self.backoff_coefficient ** (attempt - 1))


def _check_retries(given: Retries) -> None:
    """Raise InvalidError outside of Modal's bounds, with Modal's texts. A value that is no number
    is outside."""
    number, delay, first = given.max_retries, given.max_delay, given.initial_delay
    if not isinstance(number, int) or number < 0:
        raise InvalidError(
            f"Invalid retries number: {number}. Function retries must be non-negative."
        )
    if not _is_within(delay, 1.0, math.inf):
        raise InvalidError(f"Invalid max_delay: {delay}. max_delay must be at least 1 second.")
    if not _is_within(delay, 1.0, 60.0):
        raise InvalidError(f"Invalid max_delay argument: {delay}. Must be between 1-60 seconds.")
    if not _is_within(first, 0.0, math.inf):
        raise InvalidError(f"Invalid initial_delay argument: {first}. Delay must be positive.")
    if not _is_within(first, 0.0, 60.0):
        raise InvalidError(
            f"Invalid initial_delay argument: {first}. Must be between 0-60 seconds."
        )
    if not _is_within(given.backoff_coefficient, 1.0, 10.0):
        raise InvalidError(
            f"Invalid backoff_coefficient: {given.backoff_coefficient}. "
            "Coefficient must be between 1.0 (fixed-interval backoff) and 10.0"
        )


def _is_within(number: object, low: float, high: float) -> bool:
    return isinstance(number, int | float) and low <= number <= high
