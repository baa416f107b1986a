"""What a process knows of one log: the state after the newest line that it has read.

All lines of an engine are made here, by ``propose``: a line follows a state that the process
knows, the rules of the log have accepted it there, and its era is that of the state unless gc
raises it. So nothing is written that was not checked against all lines before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from volfs.errors import DamagedObjectError, UserError
from volfs.model.logs.change_codec import ChangeCodec
from volfs.model.logs.line import NO_LINE, Line, digest_line
from volfs.model.objects import Buffer
from volfs.store.distributed.log.log import NO_NUMBER, Log

State = TypeVar("State")
Change = TypeVar("Change")


class LogRules(NamedTuple, Generic[State, Change]):
    """What the lines of one kind of log mean."""

    codec: ChangeCodec[Change]
    apply: Callable[[State, int, int, Sequence[Change]], State]
    """The state after one more line: its number, its era, its changes. A UserError if the line
    cannot follow."""
    beginning: State
    """The state before line 0."""


class KnownLog(NamedTuple, Generic[State]):
    """A log up to one of its lines. Immutable."""

    state: State
    number: int = NO_NUMBER
    digest: bytes = NO_LINE
    """The digest of that line."""
    era: int = 0


class Won(NamedTuple, Generic[State]):
    """A line of ours that is in the log."""

    known: KnownLog[State]
    line: Line


class Follower(Generic[State, Change]):
    """One log as this process knows it. Thread-safe; no lock is held during a request.

    ``begin`` gives what is known before anything was read: the newest checkpoint, say.
    """

    def __init__(
        self,
        log: Log,
        rules: LogRules[State, Change],
        begin: Callable[[Log], KnownLog[State]] | None = None,
    ) -> None:
        self.log = log
        self._rules = rules
        self._begin = begin
        self._lock = threading.Lock()
        self._known: KnownLog[State] | None = None

    @property
    def known(self) -> KnownLog[State]:
        """What is known, which may be out of date. A request is sent only if nothing was ever
        read."""
        return self.refresh() if self._known is None else self._known

    @property
    def is_known(self) -> bool:
        """Whether anything was read yet."""
        return self._known is not None

    def refresh(self) -> KnownLog[State]:
        """Read to the end of the log. StoreError; DataError."""
        known = self._known
        if known is None:
            known = self._begin(self.log) if self._begin else KnownLog(self._rules.beginning)
            lines = self.log.read_to_end(known.number, known.digest)
        else:
            lines = self.log.read_after(known.number, known.digest)
        for _, line in lines:
            known = self._follow(known, line)
        return self._keep(known)

    def propose(
        self,
        known: KnownLog[State],
        changes: Sequence[Change],
        records: Buffer = b"",
        era: int | None = None,
    ) -> Won[State] | None:
        """Append a line that follows ``known``. None if another line did; then that one and all
        after it are known.

        A UserError if the rules refuse the changes; StoreUncertainError; StoreError.
        """
        number = known.number + 1
        era = known.era if era is None else era
        state = self._rules.apply(known.state, number, era, changes)
        line = self.log.make_line(known.digest, era, self._rules.codec.encode(changes), records)
        there = self.log.append(number, line)
        if there.nonce != line.nonce:
            self._keep(self._follow(known, there))
            self.refresh()
            return None
        won = KnownLog(state, number, digest_line(line), era)
        self._keep(won)
        return Won(won, line)

    def change(self, decide: Callable[[State], Sequence[Change]]) -> State:
        """Make a change that is decided by the newest state, and return the state after it.

        ``decide`` is asked again after each lost race. It may raise. Without changes there is
        nothing to do.
        """
        known = self.refresh()
        while True:
            changes = decide(known.state)
            if not changes:
                return known.state
            won = self.propose(known, changes)
            if won is not None:
                return won.known.state
            known = self.known

    # --- inside --------------------------------------------------------------------

    def _follow(self, known: KnownLog[State], line: Line) -> KnownLog[State]:
        """What is known after one more line. DataError for a line that cannot follow."""
        number = known.number + 1
        key = self.log.place.line(number)
        if line.prev != known.digest:
            raise DamagedObjectError(f"{key}: the line does not follow the one before it")
        changes = self._rules.codec.decode(line.body)
        try:
            state = self._rules.apply(known.state, number, line.era, changes)
        except UserError as error:
            raise DamagedObjectError(f"{key}: no volfs would have written it: {error}") from None
        return KnownLog(state, number, digest_line(line), line.era)

    def _keep(self, known: KnownLog[State]) -> KnownLog[State]:
        """Remember what was read, unless another thread has read further. What is known then."""
        with self._lock:
            if self._known is None or known.number > self._known.number:
                self._known = known
            return self._known
