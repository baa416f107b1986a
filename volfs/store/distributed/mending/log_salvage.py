"""The state of a log, read from all that is left of it.

A log whose lines are all there has the state that its readers see. Where a line is damaged or gone,
its change is unknown. The next checkpoint has it; without one, the lines after it say some of it,
and the rest is lost. What is not certain is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from blake3 import blake3

from volfs.buckets.access import Bucket
from volfs.errors import DataError, UnsupportedFormatError, UserError
from volfs.model.logs.line import Line, digest_line
from volfs.store.distributed.log.follower import KnownLog, LogRules
from volfs.store.distributed.mending.checkpoint_forms import CheckpointForm
from volfs.store.distributed.mending.found_log import FoundLine, iter_found, iter_proven
from volfs.store.distributed.mending.inventory import LogObjects

State = TypeVar("State")
Change = TypeVar("Change")


class GapBridge(Protocol[State, Change]):
    """What is put in the place of lines that are gone."""

    def pass_over(self, state: State, number: int) -> State:
        """The state after a line that is gone."""

    def prepare(
        self, state: State, line: Line, changes: Sequence[Change]
    ) -> tuple[State, Sequence[Change]]:
        """The state before a line that comes after the gap, as the line tells it, and those of its
        changes that can be made."""


@dataclass
class LogRemains(Generic[State]):
    """What is left of a log."""

    known: KnownLog[State]
    """The state after the last line."""
    damage: list[tuple[str, str]] = field(default_factory=list)
    """The keys of lines and checkpoints that are wrong, and what is wrong with each."""
    broken: set[int] = field(default_factory=set)
    """The lines that no reader gets past."""
    doubts: list[str] = field(default_factory=list)
    """What the state may lack, because nothing tells it."""
    start: int = -1
    """The line of the newest checkpoint that is whole and right."""
    misleading: set[int] = field(default_factory=set)
    """The lines of checkpoints that readers believe and that are wrong."""

    @property
    def is_readable(self) -> bool:
        """Whether readers begin with a checkpoint that is right, and come to the end."""
        return all(number <= self.start for number in self.broken | self.misleading)


class Salvager(Generic[State, Change]):
    """Reads one log, and everything beside it that tells its state."""

    def __init__(
        self,
        bucket: Bucket,
        log: LogObjects,
        rules: LogRules[State, Change],
        form: CheckpointForm[State],
        bridge: GapBridge[State, Change],
    ) -> None:
        self._bucket = bucket
        self._log = log
        self._rules = rules
        self._form = form
        self._bridge = bridge
        self._found: LogRemains[State] = LogRemains(KnownLog(rules.beginning))
        self._is_certain = True
        self._kept: dict[int, KnownLog[State]] = {}

    def run(self, watch: Callable[[FoundLine], None] = lambda found: None) -> LogRemains[State]:
        """Read the whole log; ``watch`` sees each line. StoreError; UnsupportedFormatError."""
        self._read_checkpoints()
        for found in iter_proven(iter_found(self._bucket, self._log)):
            self._take(found)
            watch(found)
        return self._found

    def _read_checkpoints(self) -> None:
        for number, info in sorted(self._log.checkpoints.items()):
            try:
                kept = self._form.read(info.key)
                if kept.number != number:
                    raise DataError(f"{info.key}: the checkpoint of line {kept.number}")
                self._kept[number] = kept
            except UnsupportedFormatError:
                raise
            except DataError as error:
                self._note(info.key, _without(info.key, str(error)))
        self._found.start = max(self._kept, default=-1)
        self._log.told = max(self._log.told, self._found.start)
        self._look_beside(self._found.start)

    def _look_beside(self, number: int) -> None:
        """Look at the objects that readers find by the newest checkpoint."""
        if kept := self._kept.get(number):
            key = self._log.place.checkpoint(number)
            if problem := self._form.find_problem(key, kept.state):
                self._note_misleading(number, problem)

    def _take(self, found: FoundLine) -> None:
        problem, line = found.problem, found.any_line
        if self._is_certain and (line is None or line.prev != self._found.known.digest):
            problem = problem or "the line does not follow the one before it"
            line = self._find_stray(found.number)
        if problem:
            self._found.broken.add(found.number)
        if line is None:
            self._pass_over(found)
        else:
            problem = self._follow(found.number, line) or problem
        if problem:
            self._note(found.key, problem)
        self._compare(found.number)

    def _find_stray(self, number: int) -> Line | None:
        """The line that follows the last one, if it is stored under another number."""
        for found in iter_found(self._bucket, self._log):
            line = found.line
            is_it = line is not None and line.prev == self._found.known.digest
            if is_it and found.number != number:
                return line
        return None

    def _follow(self, number: int, line: Line) -> str:
        """Make the changes of a line. What is wrong with it, in words."""
        known, problem = self._found.known, ""
        changes: tuple[Change, ...] = ()
        try:
            changes = self._rules.codec.decode(line.body)
            if self._is_certain:
                state = self._rules.apply(known.state, number, line.era, changes)
                self._keep(KnownLog(state, number, digest_line(line), line.era))
                return ""
        except UnsupportedFormatError:
            raise
        except (UserError, DataError) as error:
            problem = f"no volfs would have written it: {error}"
            self._found.broken.add(number)
            self._is_certain = False
        self._make_each(number, line, changes)
        return problem

    def _make_each(self, number: int, line: Line, changes: Sequence[Change]) -> None:
        """Make those changes of a line that can be made on a state that is not certain."""
        state, changes = self._bridge.prepare(self._found.known.state, line, changes)
        before = self._bridge.pass_over(state, number - 1) if number else state
        state = before
        for change in changes:
            try:
                state = self._rules.apply(
                    state if state is before else self._bridge.pass_over(state, number - 1),
                    number,
                    line.era,
                    [change],
                )
            except UserError as error:
                self._doubt(number, f"a change of it is left out: {error}")
        state = self._bridge.pass_over(state, number) if state is before else state
        self._keep(KnownLog(state, number, digest_line(line), line.era))

    def _pass_over(self, found: FoundLine) -> None:
        self._is_certain = False
        known = self._found.known
        state = self._bridge.pass_over(known.state, found.number)
        digest = _guess_digest(found)
        self._keep(known._replace(state=state, number=found.number, digest=digest))
        self._doubt(found.number, "what it changed is not known")

    def _compare(self, number: int) -> None:
        """Compare the state with the checkpoint of this line; after a gap, go on from it."""
        kept = self._kept.get(number)
        if kept is None:
            return
        known = self._found.known
        if not self._is_certain:
            self._found.doubts.clear()
            self._keep(kept)
            self._is_certain = True
            return
        is_same = kept.digest == known.digest and kept.era == known.era
        if not (is_same and self._form.is_same(kept.state, known.state)):
            self._note_misleading(number, "not the state that the lines give")

    def _keep(self, known: KnownLog[State]) -> None:
        self._found.known = known

    def _note_misleading(self, number: int, problem: str) -> None:
        found = self._found
        self._note(self._log.place.checkpoint(number), problem)
        found.misleading.add(number)
        found.start = max(self._kept.keys() - found.misleading, default=-1)

    def _note(self, key: str, problem: str) -> None:
        self._found.damage.append((key, problem))

    def _doubt(self, number: int, what: str) -> None:
        self._found.doubts.append(f"{self._log.place.line(number)}: {what}")


def _guess_digest(found: FoundLine) -> bytes:
    """A digest for a line of which nothing else is left: that of what its bytes say."""
    return digest_line(found.said) if found.said else blake3(found.key.encode()).digest()


def _without(key: str, text: str) -> str:
    return text.removeprefix(f"{key}: ")
