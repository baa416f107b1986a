"""Looks at a store in one fork for each question; ``main`` takes its path.

The first line asked is answered with what a whole store shows, and every
further one with how the store differs from that. This process never opens the
store, so that damage can kill nothing but a fork.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from tests.fault.sample import Observation, observe

SECONDS = 20


class Outcome(NamedTuple):
    """What reading a damaged store came to."""

    wrong: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    died: int = 0
    """The signal that ended the reader."""
    broke: str = ""
    """An exception that is none of volfs'."""

    @property
    def verdict(self) -> str:
        if self.broke:
            return "broke"
        if self.wrong:
            return "wrong"
        if self.died:
            return "hung" if self.died == signal.SIGALRM else "died"
        return "refused" if self.refused else "exact"


def compare(expected: dict[str, object], found: Observation) -> Outcome:
    """What was shown and is not so; what is missing though nothing was refused is wrong, too."""
    wrong = [key for key, value in found.seen.items() if expected.get(key) != value]
    if not found.refused:
        wrong += sorted(expected.keys() - found.seen.keys())
    return Outcome(tuple(wrong), tuple(found.refused))


def fork_and_look(path: Path, expected: dict[str, object] | None) -> object:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _look(path, expected, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Outcome(died=os.WTERMSIG(status))
    return pickle.loads(answer)


def _look(path: Path, expected: dict[str, object] | None, writer: int) -> None:
    signal.alarm(SECONDS)
    try:
        found = observe(path)
        answer: object = found.seen if expected is None else compare(expected, found)
    except BaseException as error:  # noqa: BLE001 - the one thing that must never happen
        answer = Outcome(broke=repr(error))
    with os.fdopen(writer, "wb") as pipe:
        pickle.dump(answer, pipe)
    os._exit(0)


def main() -> None:
    path, expected = Path(sys.argv[1]), None
    for _ in sys.stdin:
        answer = fork_and_look(path, expected)
        if expected is None:
            expected = answer
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.flush()
