"""Leases: who was told that a version stays finds it, whatever the network and gc do."""

from __future__ import annotations

import pytest

from tests.sim.by_hand import finish, step_until
from tests.sim.lease_actions import Collector, Ledger, begin_volume, make_leases, run_leases
from tests.sim.scheduler import count_schedules, run_schedules
from tests.sim.simulation import Client, Simulation
from tests.sim.volume_actions import VOLUME
from volfs.errors import NotFoundError
from volfs.model.logs.volume_changes import VersionPublished, VersionsExpired
from volfs.store.contract.lease import Lease
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.refs.volume_logs import VolumeLogs

SCHEDULES = 150


def test_schedules_of_leases() -> None:
    run_schedules(count_schedules(SCHEDULES), run_leases)


class Stage:
    """A mount that puts its lease on version 1, or widens it from 1 to 2, and gc."""

    def __init__(self, versions: tuple[int, ...]) -> None:
        self.sim, self.ledger = Simulation(), Ledger()
        self.told = ""
        begin_volume(self.sim.direct_bucket())
        self.log = VolumeLogs(self.sim.direct_bucket()).open(VOLUME)
        for version in (1, 2, 3):
            made = VersionPublished(version, bytes([version]) * 32, version - 1)
            self.log.change(lambda _, made=made: [made])  # type: ignore[misc]
        self.versions = versions
        self.mount = self.sim.add("a", self._live)
        self.gc = self.sim.add("gc", Collector(0, 1, self.ledger, self.sim.direct_bucket()).live)

    def expire(self, version: int) -> None:
        self.log.change(lambda _: [VersionsExpired(((version, version),))])

    def _live(self, client: Client) -> None:
        leases = make_leases(client, VolumeLogs(client.bucket))
        for count in range(1, len(self.versions) + 1):
            versions = self.versions[:count]
            try:
                leases.put(Lease("m.a", VOLUME, versions, began_ns=7, place="/mnt"))
            except NotFoundError:
                self.told = "refused"
                return
            self.ledger.rely("m.a", frozenset(versions), "put")
        self.told = "kept"


@pytest.mark.parametrize("versions", [(1,), (1, 2)], ids=["09 a mount", "10 a reload"])
@pytest.mark.parametrize("expired", ["before", "after"])
def test_a_lease_between_expiry_and_gc(versions: tuple[int, ...], expired: str) -> None:
    """The lease comes after gc has read the leases: the version is there, or the mount is told."""
    stage = Stage(versions)
    step_until(stage.mount, "PUT", f"leases/15/m.a/{len(versions) - 1:016x}")
    if expired == "before":
        stage.expire(versions[-1])
        finish(stage.gc, stage.mount)
        assert stage.told == "refused"
        return
    step_until(stage.gc, "GET", "v/")
    finish(stage.mount)
    stage.expire(versions[-1])
    finish(stage.gc)
    assert stage.told == "kept"
    assert not stage.ledger.removed & set(versions)


@pytest.mark.parametrize("versions", [(1,), (1, 2)], ids=["09 a mount", "10 a reload"])
def test_without_the_look_after_the_lease_content_is_lost(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[int, ...]
) -> None:
    """L3."""
    monkeypatch.setattr(BucketLeases, "_check_versions", lambda *_: None)
    stage = Stage(versions)
    step_until(stage.mount, "PUT", f"leases/15/m.a/{len(versions) - 1:016x}")
    stage.expire(versions[-1])
    finish(stage.gc)
    with pytest.raises(AssertionError, match=r"put, and .* gone"):
        finish(stage.mount)
