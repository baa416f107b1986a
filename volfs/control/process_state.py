"""The state of a process in /proc, for callers that wait for its answer."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import NamedTuple

from volfs.system.proc import ASLEEP, DEAD, STOPPED, find_state, list_threads, read_status


class ProcessState(NamedTuple):
    """What /proc said a moment ago about a process or one of its threads.

    The masks have a bit for each signal: those that are pending, and those that are blocked, as a
    signal is while its handler runs.
    """

    letter: str
    pending: int
    blocked: int

    @property
    def is_stopped(self) -> bool:
        return self.letter in STOPPED

    @property
    def is_ending(self) -> bool:
        """Whether it was killed or has exited; a thread that waits for a disk may keep it."""
        return self.letter in DEAD or bool(self.pending & to_mask(signal.SIGKILL))


def to_mask(*signals: int) -> int:
    """A set of signals as the kernel shows it."""
    return sum(1 << (number - 1) for number in signals)


def find_process_state(pid: int, thread: int | None = None) -> ProcessState | None:
    """None where there is no such process, or we may not look."""
    try:
        facts = read_status(pid, thread)
    except OSError:
        return None
    waiting = int(facts["SigPnd"], 16) | int(facts["ShdPnd"], 16)
    return ProcessState(facts["State"][:1], waiting, int(facts["SigBlk"], 16))


def describe_process(pid: int) -> str:
    """In a few words, why a process may not answer."""
    state = find_process_state(pid)
    if state is None:
        return "it has ended"
    waits = "it waits for a disk" if _waits_for_a_disk(pid) else ""
    if state.is_ending:
        return f"it was killed, but {waits}" if waits else "it is ending"
    if state.is_stopped:
        return "it is stopped"
    return waits or "it does not answer yet"


def _waits_for_a_disk(pid: int) -> bool:
    """Whether one of its threads sleeps where no signal wakes it."""
    with suppress(OSError):
        return any(find_state(pid, thread) == ASLEEP for thread in list_threads(pid))
    return False
