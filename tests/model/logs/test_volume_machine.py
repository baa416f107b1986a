"""A volume's log against a slow model: which lines may follow, and what they leave behind.

The model keeps everything in sets and lists and looks at all of it each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.logs.volumes import (
    DIGEST,
    FACTS,
    begin,
    make_logged,
    manifest_of,
    name_pack,
)
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
)
from volfs.model.logs.version_table import BLOCK_SIZE, VersionRow, to_ranges
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    PacksAdopted,
    PacksFenced,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeDeleted,
    VolumeForked,
    VolumeNamed,
)
from volfs.model.logs.volume_checkpoint import (
    HistoryRow,
    Kept,
    decode_checkpoint,
    decode_history,
    encode_checkpoint,
    encode_history,
    find_next_block,
    make_checkpoint,
    restore_state,
)
from volfs.model.logs.volume_log import Rider, VolumeState, apply
from volfs.model.objects import Kind
from volfs.model.references import Reference

PACKS = st.integers(0, 4)
PICKS = st.sampled_from([0, 1, 1, 2, 3, 9])
TAGS = st.sampled_from(["a", "b", "c"])
SESSIONS = st.sampled_from(["", "one", "two"])
FIRST = (0, BLOCK_SIZE - 3)
"""The first versions, so that a few more begin another block."""


@dataclass
class SlowVolume:
    """What a volume is after its lines, without any cleverness."""

    number: int = 0
    era: int = 0
    head: int = FIRST[-1]
    versions: dict[int, int] = field(default_factory=lambda: dict.fromkeys(FIRST, 0))
    """The line of each version that is there."""
    tags: dict[str, int] = field(default_factory=dict)
    packs: dict[str, bool] = field(default_factory=dict)
    """Whether each pack is open."""
    forks: dict[str, int] = field(default_factory=dict)
    riders: dict[str, list[Rider]] = field(default_factory=dict)
    name: str = FACTS.name
    is_deleted: bool = False


class VolumeMachine(RuleBasedStateMachine):
    """Any changes, right and wrong. After each line: state, checkpoint and replay agree."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = SlowVolume()
        self.lines: list[tuple[int, tuple[VolumeChange, ...]]] = []
        self.state: VolumeState | None = None

    @initialize()
    def create(self) -> None:
        self.lines = [(0, (begin(*FIRST),))]
        self.state = apply(None, 0, 0, self.lines[0][1])
        self.restored = self.state

    def offer(self, change: VolumeChange, is_right: bool, era: int | None = None) -> bool:
        """Apply a change that must be accepted or refused. True if it was accepted."""
        assert self.state is not None
        before = self.state
        era = self.slow.era if era is None else era
        number = self.slow.number + 1
        (decoded,) = VOLUME_CHANGES.decode(VOLUME_CHANGES.encode([change]))
        assert decoded == change
        if not is_right or self.slow.is_deleted:
            with pytest.raises((NotFoundError, ConflictError, AlreadyExistsError)):
                apply(before, number, era, (change,))
            return False
        self.state = apply(before, number, era, (change,))
        self.restored = apply(self.restored, number, era, (change,))
        self.lines.append((era, (change,)))
        self.slow.number, self.slow.era = number, era
        return True

    @rule(
        step=st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2, 3 * BLOCK_SIZE]),
        stale=st.sampled_from([0, 0, 0, 0, 1]),
        new=st.sets(PACKS, max_size=2),
        relies=st.sets(PACKS, max_size=1),
        share=st.sampled_from([None, None, None, 0, BLOCK_SIZE - 3, BLOCK_SIZE]),
        session=SESSIONS,
        upto=st.integers(0, 20),
    )
    def publish(
        self,
        step: int,
        stale: int,
        new: set[int],
        relies: set[int],
        share: int | None,
        session: str,
        upto: int,
    ) -> None:
        slow = self.slow
        version = slow.head + step
        needs = ((Kind.TREE, manifest_of(version)),)
        shares = () if share is None else (share,)
        change = VersionPublished(
            version,
            manifest_of(version),
            slow.head - stale,
            session,
            b"over",
            needs,
            upto,
            tuple(map(make_logged, sorted(new))),
            tuple(map(name_pack, sorted(relies))),
            shares,
        )
        is_right = (
            step > 0
            and not stale
            and all(slow.packs.get(name_pack(each), True) for each in new)
            and all(slow.packs.get(name_pack(each), False) for each in relies)
            and all(each in slow.versions for each in shares)
        )
        if self.offer(change, is_right):
            slow.head = version
            slow.versions[version] = slow.number
            slow.packs.update((name_pack(each), True) for each in new)
            if session:
                kept = [each for each in slow.riders.get(session, []) if each.line > upto]
                rider = Rider(slow.number, version, b"over", (Reference(*needs[0]),))
                slow.riders[session] = [*kept, rider]

    def choose(self, pick: int) -> int:
        """One of the newest versions that are there, or one that never was."""
        newest = sorted(self.slow.versions, reverse=True)
        return newest[pick % len(newest)] if newest and pick < 9 else self.slow.head + 2

    @rule(picks=st.sets(PICKS, min_size=1, max_size=2))
    def expire(self, picks: set[int]) -> None:
        slow = self.slow
        chosen = set(map(self.choose, picks))
        is_right = all(
            each in slow.versions and each != slow.head and each not in slow.tags.values()
            for each in chosen
        )
        if self.offer(VersionsExpired(to_ranges(chosen)), is_right):
            for each in chosen:
                del slow.versions[each]

    @rule(tag=TAGS, pick=PICKS, move=st.booleans())
    def tag(self, tag: str, pick: int, move: bool) -> None:
        slow = self.slow
        version = self.choose(pick)
        is_free = slow.tags.get(tag, version) == version or move
        if self.offer(VersionTagged(tag, version, move), version in slow.versions and is_free):
            slow.tags[tag] = version

    @rule(tag=TAGS)
    def untag(self, tag: str) -> None:
        if self.offer(VersionTagged(tag), tag in self.slow.tags):
            del self.slow.tags[tag]

    @rule(number=st.integers(3, 6), pick=PICKS)
    def fork(self, number: int, pick: int) -> None:
        slow = self.slow
        volume, version = f"vo-{number:022}", self.choose(pick)
        is_right = version in slow.versions and volume not in slow.forks
        if self.offer(VolumeForked(volume, version), is_right):
            slow.forks[volume] = version

    @rule(
        rise=st.sampled_from([1, 1, 1, 5, 0, -1]),
        closed=st.sets(PACKS, max_size=3),
        gone=st.sets(PACKS, max_size=1),
        copied=st.booleans(),
        ended=SESSIONS,
        settled=st.integers(3, 6),
    )
    def fence(
        self,
        rise: int,
        closed: set[int],
        gone: set[int],
        copied: bool,
        ended: str,
        settled: int,
    ) -> None:
        slow = self.slow
        shut = {name_pack(each) for each in closed}
        away = {name_pack(each) for each in gone}
        copy = make_logged(100 + slow.number)
        change = PacksFenced(
            tuple(sorted(shut)),
            (copy,) if copied else (),
            tuple((name, (copy.name,)) for name in sorted(shut)) if copied else (),
            tuple(away),
            (f"vo-{settled:022}",),
            (ended,),
        )
        is_right = (
            rise > 0
            and all(slow.packs.get(name, False) for name in shut)
            and not any(slow.packs.get(name, False) for name in away - shut)
        )
        if self.offer(change, is_right, max(slow.era + rise, 0)):
            slow.packs.update(dict.fromkeys(shut, False))
            slow.packs.update({copy.name: True} if copied else {})
            for name in away:
                slow.packs.pop(name, None)
            slow.forks.pop(f"vo-{settled:022}", None)
            slow.riders.pop(ended, None)

    @rule(packs=st.sets(PACKS, min_size=1, max_size=2))
    def adopt(self, packs: set[int]) -> None:
        names = sorted(map(name_pack, packs))
        is_right = all(self.slow.packs.get(name) is False for name in names)
        if self.offer(PacksAdopted(tuple(names), 3), is_right):
            self.slow.packs.update(dict.fromkeys(names, True))

    @rule(name=st.sampled_from(["x", "y"]))
    def name(self, name: str) -> None:
        if self.offer(VolumeNamed(name, "prod"), True):
            self.slow.name = name

    @precondition(lambda self: self.slow.number > 15)
    @rule()
    def delete(self) -> None:
        if self.offer(VolumeDeleted(), True):
            self.slow.is_deleted = True
            self.slow.versions, self.slow.tags = {}, {}

    @rule(shift=st.sampled_from([-1, 0, 2]), rise=st.sampled_from([0, 1, -1]))
    def come_late(self, shift: int, rise: int) -> None:
        """Another number, or another era without a fence, cannot follow."""
        assert self.state is not None
        number, era = self.slow.number + 1 + shift, self.slow.era + rise
        if shift or rise:
            with pytest.raises((ConflictError, NotFoundError)):
                apply(self.state, number, era, (VolumeNamed("late", "main"),))

    @rule()
    def restart(self) -> None:
        """The state is lost: from here on it is made of a checkpoint and the lines after it."""
        assert self.state is not None
        history = 0
        while (block := find_next_block(self.state, history)) is not None:
            history = block + 1
        made = make_checkpoint(self.state, DIGEST, Kept(history))
        self.restored = restore_state(decode_checkpoint(encode_checkpoint(made)))
        assert make_checkpoint(load_all(self.restored, self.state), DIGEST, Kept(history)) == made

    @invariant()
    def they_agree(self) -> None:
        slow, state = self.slow, self.state
        if state is None:
            return
        assert state.facts is not None
        assert (state.number, state.era, state.facts.name) == (slow.number, slow.era, slow.name)
        assert state.is_deleted == slow.is_deleted
        rows = {version: row.line for version, row in state.versions.known.items()}
        assert rows == slow.versions
        assert list(state.versions.iter_newest()) == sorted(slow.versions, reverse=True)
        assert dict(state.tags) == slow.tags
        assert {n: fork.version for n, fork in state.forks.items()} == slow.forks
        assert {n: row.is_open for n, row in state.packs.packs.items()} == slow.packs
        assert {n: list(riders) for n, riders in state.riders.items()} == slow.riders
        assert load_all(self.restored, state) == state

    def teardown(self) -> None:
        again: VolumeState | None = None
        for number, (era, changes) in enumerate(self.lines):
            again = apply(again, number, era, changes)
        assert again == self.state


def load_all(state: VolumeState, whole: VolumeState) -> VolumeState:
    """The state with all its blocks in memory, read from history segments made of ``whole``."""
    versions = state.versions
    for block in sorted(versions.unread):
        rows = [
            HistoryRow(version, row.line, row.manifest, f"version {version}".encode())
            for version, row in sorted(whole.versions.known.items())
            if version // BLOCK_SIZE == block
        ]
        read = decode_history(encode_history(rows), block)
        versions = versions.with_block(
            block, [(row.version, VersionRow(row.manifest, row.line)) for row in read]
        )
    return state._replace(versions=versions)


TestVolumeMachine = VolumeMachine.TestCase
TestVolumeMachine.settings = settings(max_examples=25, stateful_step_count=30)
