"""The rules on which gc depends, each taken out of the code.

Each mutant is a function that changes the classes of the engine. Some interleaving must lose
content then; otherwise the rule would be there for looks, or the tests would be blind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from tests.sim.rules import fork_secretly
from volfs.errors import ConflictError
from volfs.model.logs.gc_log import GcChange, GcState, PacksDoomed
from volfs.store.contract.lease import Lease
from volfs.store.distributed.care.bucket_collector import BucketCollector, KnownGc, OvertakenError
from volfs.store.distributed.care.fences import Fences
from volfs.store.distributed.care.gc_roots import FoundRoots, KnownVolume, RootsFinder
from volfs.store.distributed.care.sweeping import Sweeper
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.refs.bucket_refs import BucketRefs
from volfs.store.distributed.refs.volume_publisher import VolumePublisher

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def no_fence(patch: Patch) -> None:
    """What is condemned is not closed in any log."""
    patch.setattr(BucketCollector, "fence", lambda self, gc, found: True)


def closes_only_its_own(patch: Patch) -> None:
    """A fence closes what the newest line condemned, and not what a gc that died did."""

    def list_closing(self: Fences, gc: GcState, after: int) -> frozenset[str]:
        return gc.list_closing(max(gc.condemned.values(), default=1) - 1)

    patch.setattr(Fences, "list_closing", list_closing)


def looks_once(patch: Patch) -> None:
    """What is needed is not looked at again after the fence."""
    patch.setattr(BucketCollector, "look_again", lambda self, gc, due: frozenset())


def one_pass(patch: Patch) -> None:
    """The logs are not read before the leases are."""
    find = RootsFinder.find
    read = RootsFinder.read_logs

    def find_late(self: RootsFinder, ended: Collection[Lease] = ()) -> FoundRoots:
        passes = iter((True, False))

        def read_logs() -> dict[str, KnownVolume]:
            return {} if next(passes) else read(self)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self, "read_logs", read_logs)
            return find(self, ended)

    patch.setattr(RootsFinder, "find", find_late)
    # Everything would count as published since.
    patch.setattr(RootsFinder, "_iter_published", lambda *_: iter(()))


def leases_keep_nothing(patch: Patch) -> None:
    """gc does not ask for leases."""
    patch.setattr(RootsFinder, "read_leases", lambda self: [])


def forgets_own_packs(patch: Patch) -> None:
    """P6b: own packs that gc has condemned are not put again."""
    patch.setattr(BucketUpload, "replace", lambda self, closed: self._rely_on_open())


def forgets_its_lease(patch: Patch) -> None:
    """P6c: a commit does not ask whether its lease is in force."""
    patch.setattr(VolumePublisher, "_check_lease", lambda self, state, lease: None)


def checks_by_race(patch: Patch) -> None:
    """The checks of a new era belong to the lost race, and not to the upload: whoever has not lost
    one believes that nothing has changed."""
    publish = VolumePublisher.publish

    def trusting(self: VolumePublisher, upload: BucketUpload, publication: object) -> None:
        upload.era = self._book.follower.known.era
        publish(self, upload, publication)  # type: ignore[arg-type]

    patch.setattr(VolumePublisher, "publish", trusting)


def relies_on_closed(patch: Patch) -> None:
    """P6a: what was found in packs that are closed now is not put again."""
    patch.setattr(BucketUpload, "_rely_on_open", lambda self: None)
    patch.setattr("volfs.model.logs.pack_table.PackTable.check_open", lambda self, names: None)


def believes_its_lease(patch: Patch) -> None:
    """L3: a mount does not look at the version again after it has put its lease."""
    patch.setattr(BucketLeases, "_check_versions", lambda *_: None)


def forks_unseen(patch: Patch) -> None:
    """A fork writes no line into the log of its source."""
    patch.setattr(BucketRefs, "fork_volume", fork_secretly)


def ignores_forks(patch: Patch) -> None:
    """G6 neither takes the place of a fork that has no log, nor waits for it."""
    patch.setattr(Fences, "list_waiting", lambda self, volumes, era: [])


def dooms_at_any_number(patch: Patch) -> None:
    """G8: the verdict takes whichever number is free."""
    append = BucketCollector._append

    def append_anywhere(self: BucketCollector, known: KnownGc, change: GcChange) -> KnownGc:
        while True:
            try:
                return append(self, known, change)
            except (OvertakenError, ConflictError):
                known = self._follower.refresh()
            if isinstance(change, PacksDoomed) and known.state is not None:
                condemned = known.state.condemned
                packs, returned = (
                    tuple(name for name in names if name in condemned)
                    for names in (change.packs, change.returned)
                )
                change = PacksDoomed(packs, returned)

    patch.setattr(BucketCollector, "_append", append_anywhere)


def adopts_blindly(patch: Patch) -> None:
    """G9: packs are opened although gc has condemned them again."""
    patch.setattr(Sweeper, "find_condemned_again", lambda self, line, era: frozenset())


def trusts_no_volume(patch: Patch) -> None:
    """An upload that is older than its volume counts as checked up to era 0."""
    patch.setattr("volfs.store.distributed.refs.volume_publisher.NO_ERA", 0)
