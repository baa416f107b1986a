"""What statfs says is free: the store's room, or the overlay's where a store has no size."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.harness.rig import Rig
from volfs.fuse.kernel_attributes import BLOCK_SIZE
from volfs.fuse.ops import Operations
from volfs.store.contract.care import Space
from volfs.store.registry import open_store
from volfs.vfs.aio import Bridge
from volfs.volume.volumes import create_volume


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    clock = itertools.count(1_000_000_000)
    with closing(open_store(str(tmp_path / "store"), create=True)) as store:
        rig = Rig(store, create_volume(store, "data"), tmp_path / "rig", lambda: next(clock))
        yield rig
        rig.close()


@pytest.mark.parametrize("known", [Space(9 << 30, 5 << 20), Space(9 << 30, 0), None])
def test_free_is_the_stores_or_the_overlays(rig: Rig, known: Space | None) -> None:
    async def nothing() -> None: ...

    async def ask() -> int:
        bridge = Bridge(rig.state.view)
        operations = Operations(rig.state, bridge, rig.committer, nothing, lambda: known)
        said = await operations.statfs(None)  # type: ignore[arg-type]
        assert said.f_bavail == said.f_bfree
        return int(said.f_bfree) * BLOCK_SIZE

    free = trio.run(ask)
    if known is not None:
        assert free == known.free
    else:  # The disk of the overlay has other users, too.
        disk = os.statvfs(rig.state.scratch.directory)
        assert abs(free - disk.f_bavail * disk.f_frsize) < disk.f_blocks * disk.f_frsize // 10
        assert free > 0
