"""What a process is doing, as /proc tells anybody: for those who wait for its answer."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_STOPPED, _DEAD, _ASLEEP = "Tt", "ZX", "D"


class ProcessState(NamedTuple):
    """What /proc said a moment ago, of a process or one of its threads.

    The others have a bit for each signal: those that wait, and those that are blocked, as a
    signal is while its handler runs.
    """

    letter: str
    pending: int
    blocked: int

    @property
    def is_stopped(self) -> bool:
        return self.letter in _STOPPED

    @property
    def is_ending(self) -> bool:
        """Whether it was killed or has exited; a thread that waits for a disk may keep it."""
        return self.letter in _DEAD or bool(self.pending & to_mask(signal.SIGKILL))


def to_mask(*signals: int) -> int:
    """These signals, as the kernel shows a set of them."""
    return sum(1 << (number - 1) for number in signals)


def find_process_state(pid: int, thread: int | None = None) -> ProcessState | None:
    """None where there is no such process, or we may not look."""
    place = f"/proc/{pid}/task/{thread}" if thread else f"/proc/{pid}"
    try:
        lines = Path(f"{place}/status").read_bytes().splitlines()
    except OSError:
        return None
    facts = dict(line.split(b":", 1) for line in lines if b":" in line)
    waiting = int(facts[b"SigPnd"], 16) | int(facts[b"ShdPnd"], 16)
    letter = facts[b"State"].strip()[:1].decode()
    return ProcessState(letter, waiting, int(facts[b"SigBlk"], 16))


def describe_process(pid: int) -> str:
    """Why a process may not answer, in a few words."""
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
        return any(_letter_of(thread) == _ASLEEP for thread in Path(f"/proc/{pid}/task").iterdir())
    return False


def _letter_of(thread: Path) -> str:
    with suppress(OSError):
        return (thread / "stat").read_bytes().rpartition(b") ")[2][:1].decode()
    return ""
