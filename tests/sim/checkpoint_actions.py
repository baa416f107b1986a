"""Followers that write a checkpoint every few lines and begin with them, and the judge of those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from tests.sim.volume_actions import History
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import StoreError
from volfs.model.logs.framed import decode_framed
from volfs.model.logs.line import Line, digest_line
from volfs.model.logs.volume_changes import VOLUME_CHANGES, VolumeChange
from volfs.model.logs.volume_checkpoint import (
    CHECKPOINT_MAGIC,
    NOTHING_KEPT,
    decode_checkpoint,
    restore_state,
)
from volfs.model.logs.volume_log import VolumeState, apply
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.volume_checkpoints import VolumeCheckpoints
from volfs.store.distributed.log.follower import Follower, KnownLog, Won
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import VOLUME_RULES
from volfs.store.distributed.place.object_keys import VOLUMES, find_volume_id, volume_log
from volfs.store.distributed.refs.volume_logs import VolumeFollower
from volfs.store.packs.codec import decompress
from volfs.system.world import World

EVERY = 4

Known = KnownLog[VolumeState | None]


class Writer:
    """``Watch``: writes a checkpoint every few lines, beside whatever the client does next."""

    def __init__(self, checkpoints: VolumeCheckpoints, world: World) -> None:
        self.checkpoints = checkpoints
        self.world = world
        self.follower: VolumeFollower | None = None

    def on_line(self, number: int, line: Line, *, is_ours: bool) -> None:
        """Only the newest line matters."""

    def on_moved(self, number: int, *, is_ours: bool) -> None:
        assert self.follower is not None
        known = self.follower.known
        if number % EVERY == EVERY - 1 and known.state is not None:
            self.write_beside(known)

    def write_beside(self, known: Known) -> None:
        self.world.start(partial(self._write, known))

    def _write(self, known: Known) -> None:
        with suppress(StoreError):
            self.checkpoints.write(known, NOTHING_KEPT)


def make_keeping(log: Log, kind: Callable[..., VolumeFollower] = Follower) -> VolumeFollower:
    """A follower that begins with checkpoints, and writes them."""
    volume = find_volume_id(log.place.lines)
    assert volume is not None
    bucket = log._bucket
    checkpoints = VolumeCheckpoints(FramedObjects(bucket), volume)
    watch = Writer(checkpoints, bucket.world)
    follower = kind(log, VOLUME_RULES, checkpoints.begin, watch)
    watch.follower = follower
    return follower


def judge_checkpoints(bucket: Bucket) -> int:
    """Each checkpoint says what the lines say that it was made after. How many there are."""
    count, histories = 0, dict[str, History]()
    for info in iter_objects(bucket, VOLUMES):
        volume = find_volume_id(info.key)
        assert volume is not None
        number = volume_log(volume).find_checkpoint_number(info.key)
        if number is None:
            continue
        framed = decode_framed(bucket.get(info.key)[1], CHECKPOINT_MAGIC, info.key)
        made = decode_checkpoint(decompress(framed.codec, framed.stored, framed.raw))
        history = histories.setdefault(volume, History(bucket, volume))
        line = Log(bucket, volume_log(volume)).find_line(number)
        assert line is not None, f"a checkpoint after line {number}, which is not there"
        assert made.digest == digest_line(line), f"a checkpoint of another line {number}"
        if not (made.pieces or made.history):
            assert restore_state(made) == history.states[number], "another state"
        count += 1
    return count


# --- mutations -------------------------------------------------------------------------


class TooSoon(VolumeFollower):
    """The checkpoint is written before it is known whether the line won."""

    def propose(
        self,
        known: Known,
        changes: Sequence[VolumeChange],
        records: Buffer = b"",
        era: int | None = None,
    ) -> Won[VolumeState | None] | None:
        number = known.number + 1
        if number % EVERY == EVERY - 1 and known.state is not None:
            state = apply(known.state, number, known.era, changes)
            line = self.log.make_line(known.digest, known.era, VOLUME_CHANGES.encode(changes))
            assert isinstance(self._watch, Writer)
            self._watch._write(KnownLog(state, number, digest_line(line), known.era))
        return super().propose(known, changes, records, era)


class Credulous(TooSoon):
    """And whoever reads it believes it without the line."""

    def _read_first(self) -> Known:
        for known in self._begin():
            return self._follow_all(known, self.log.iter_after(known.number))
        return super()._read_first()
