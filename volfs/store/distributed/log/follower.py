"""What a process knows of one log: the state after the newest line that it has read.

All lines of an engine are made here, by ``propose``: a line follows a state that the process
knows, the rules of the log have accepted it there, and its era is that of the state unless gc
raises it. So nothing is written that was not checked against all lines before it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Generic, NamedTuple, Protocol, TypeVar

from volfs.errors import DamagedObjectError, UserError
from volfs.model.logs.change_codec import ChangeCodec
from volfs.model.logs.line import NO_LINE, Line, digest_line
from volfs.model.objects import Buffer
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import LAST_NUMBER

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


class Watch(Protocol):
    """Whoever is told of the lines that a follower reads and writes. It raises nothing, and sends
    no request."""

    def on_line(self, number: int, line: Line, *, is_ours: bool) -> None:
        """A line was read, or written by us."""

    def on_moved(self, number: int, *, is_ours: bool) -> None:
        """The newest line that is known is this one now."""


class Unwatched:
    """``Watch`` of nobody."""

    def on_line(self, number: int, line: Line, *, is_ours: bool) -> None:
        """Nobody is told."""

    def on_moved(self, number: int, *, is_ours: bool) -> None:
        """Nobody is told."""


UNWATCHED: Watch = Unwatched()
Begin = Callable[[], Iterable[KnownLog[State]]]
"""What may be known before any line was read, by checkpoints, say: the most recent comes first."""
Recall = Callable[[], KnownLog[State] | None]
"""What this machine knew when one of its processes last read the log."""

SOON = 1.0
"""For so many seconds, a log that was recognized counts as read to its end."""


def _recall_nothing() -> None:
    return None


class Follower(Generic[State, Change]):
    """One log as this process knows it. Thread-safe; no lock is held during a request."""

    def __init__(
        self,
        log: Log,
        rules: LogRules[State, Change],
        begin: Begin[State] = tuple,
        watch: Watch = UNWATCHED,
        recall: Recall[State] = _recall_nothing,
    ) -> None:
        """``recall`` is asked first, once."""
        self.log = log
        self._recall = recall
        self._rules = rules
        self._begin = begin
        self._watch = watch
        self._lock = threading.Lock()
        self._known: KnownLog[State] | None = None
        self._recalled: tuple[KnownLog[State] | None, ...] = ()
        """What this machine remembers, once it was asked for."""
        self._recognized_at = -math.inf

    @property
    def known(self) -> KnownLog[State]:
        """What is known, which may be out of date. A request is sent only if nothing was ever
        read."""
        return self.refresh() if self._known is None else self._known

    @property
    def is_known(self) -> bool:
        """Whether anything was read yet."""
        return self._known is not None

    @property
    def guess(self) -> KnownLog[State]:
        """As ``known``, or what this machine remembers, which nothing has proven yet. It is for
        callers that read the log before they rely on it, and for reading objects, whose ids prove
        them."""
        return self._known or self._find_recalled() or self.refresh()

    @property
    def is_recalled(self) -> bool:
        """Whether nothing was read yet, and this machine remembers the log."""
        return self._known is None and self._find_recalled() is not None

    def refresh(self) -> KnownLog[State]:
        """Read to the end of the log. StoreError; DataError."""
        known = self._known
        if known is None:
            return self._keep(self._read_first())
        return self._keep(self._follow_all(known, self.log.iter_after(known.number)))

    def recognize(self) -> bool:
        """Whether the log is the one that this machine remembers. Then it is known to its end.
        StoreError."""
        near = self._read_near()
        if near is not None:
            self._keep(near)
            self._recognized_at = self.log.now()
        return near is not None

    def refresh_soon(self) -> KnownLog[State]:
        """As ``refresh``, but the first call reads nothing if the log was recognized within the
        last second."""
        recognized_at, self._recognized_at = self._recognized_at, -math.inf
        known = self._known
        is_fresh = self.log.now() - recognized_at < SOON
        return known if known is not None and is_fresh else self.refresh()

    def read_whole(self, last: int = LAST_NUMBER) -> KnownLog[State]:
        """What the lines from the first one up to ``last`` say. Nothing of it is remembered.
        StoreError; DataError."""
        lines = takewhile(lambda item: item[0] <= last, self.log.iter_to_end(NO_NUMBER))
        return self._follow_all(KnownLog(self._rules.beginning), lines)

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
        self._watch.on_line(number, line, is_ours=True)
        self._keep(won, is_ours=True)
        return Won(won, line)

    def change(self, decide: Callable[[State], Sequence[Change]], *, guess: bool = False) -> State:
        """Make a change that is decided by the newest state, and return the state after it.

        ``decide`` is asked again after each lost race. It may raise. Without changes there is
        nothing to do. With ``guess``, the first attempt does not read the log again, for a caller
        that has just read it. If a line has come since, the append is lost.
        """
        known = self.known if guess else self.refresh()
        while True:
            try:
                changes = decide(known.state)
            except UserError:
                if not guess:
                    raise
                changes = ()
            if changes:
                won = self.propose(known, changes)
                if won is not None:
                    return won.known.state
                known = self.known
            elif guess:
                known = self.refresh()
            else:
                return known.state
            guess = False

    # --- inside --------------------------------------------------------------------

    def _read_first(self) -> KnownLog[State]:
        """What is known after the first reading. Whatever a checkpoint says is believed only if
        the line after which it was made has the digest that it says."""
        near = self._read_near()
        if near is not None:
            return near
        for known in self._begin():
            lines = self.log.iter_to_end(known.number - 1)
            first = next(iter(lines), None)
            if first is not None and digest_line(first[1]) == known.digest:
                return self._follow_all(known, lines)
        return self.read_whole()

    def _find_recalled(self) -> KnownLog[State] | None:
        if not self._recalled:
            self._recalled = (self._recall(),)
        return self._recalled[0]

    def _read_near(self) -> KnownLog[State] | None:
        """What is known if this machine has read the log not long ago. None if it has not, or if
        what it knew is not what the log says."""
        known = self._find_recalled()
        if known is None:
            return None
        try:
            lines = iter(self.log.find_near(known.number) or ())
            first = next(lines, None)
            if first is None or digest_line(first[1]) != known.digest:
                return None
            return self._follow_all(known, lines)
        except DamagedObjectError:
            return None  # The checkpoints may lead past what is damaged.

    def _follow_all(
        self, known: KnownLog[State], lines: Iterable[tuple[int, Line]]
    ) -> KnownLog[State]:
        for _, line in lines:
            known = self._follow(known, line)
        return known

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
        self._watch.on_line(number, line, is_ours=False)
        return KnownLog(state, number, digest_line(line), line.era)

    def _keep(self, known: KnownLog[State], *, is_ours: bool = False) -> KnownLog[State]:
        """Remember what was read, unless another thread has read further. What is known then."""
        with self._lock:
            has_moved = self._known is None or known.number > self._known.number
            if has_moved:
                self._known = known
            kept = self._known
        assert kept is not None
        if has_moved:
            self._watch.on_moved(known.number, is_ours=is_ours)
        return kept
