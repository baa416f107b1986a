"""Two mounts of one network file system, without a kernel, against a model of close-to-open.

Files in one directory: what meets in trees is merged as commits are, and that
has its tests elsewhere. What a shrunk failure found becomes a case in
``test_sharing_cases.py``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.harness.leased import check_leased
from tests.harness.rig import check_books
from tests.vfs.machine.machine import PHASES
from tests.vfs.machine.mounts import MEMORY, MountClock
from tests.vfs.shared_rig import SharedRig
from tests.vfs.sharing_model import NAMES, TICK, CloseToOpenModel, MountSide, OpenedFile
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

names = st.sampled_from(NAMES)
sides = st.integers(0, 1)


# --- both --------------------------------------------------------------------


@dataclass
class OpenHandle:
    """A handle of one of the two mounts, and the file of the model that it is open on."""

    side: int
    number: int
    node: OpenedFile
    writes: bool


class SharingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="volfs-sharing-", dir=MEMORY))
        self.store = open_store(str(self.directory / "store"), create=True)
        self.volume = create_volume(self.store, "net", chunk_bits=12, network=True)
        self.clock = MountClock()
        self.model = CloseToOpenModel()
        self.rigs: list[SharedRig] = []
        self.open_files: list[OpenHandle] = []
        self.count = 0

    @initialize(cold=st.booleans())
    def begin(self, cold: bool) -> None:
        for number in range(2):
            directory = self.directory / f"session-{number}"
            rig = SharedRig(self.store, self.volume, directory, lambda: self.clock.now, cold=cold)
            self.rigs.append(rig.begin())

    def teardown(self) -> None:
        try:
            for opened in list(self.open_files):
                self.close_one(opened)
            for number, rig in enumerate(self.rigs):
                self.look(number)
                rig.commit()
                rig.forget()
                assert not rig.state.overlay.orphans
                assert rig.state.overlay.is_clean
                assert [path.name for path in rig.scratch.directory.iterdir()] == []
            assert check_store(self.store).is_clean
        finally:
            for rig in self.rigs:
                rig.close()
            self.store.close()
            shutil.rmtree(self.directory)

    def both(self, side: int) -> tuple[SharedRig, MountSide]:
        self.clock.now += TICK
        return self.rigs[side], self.model.sides[side]

    def revalidated(self, side: int) -> tuple[SharedRig, MountSide]:
        rig, mine = self.both(side)
        rig.revalidate()
        self.model.revalidate(mine)
        return rig, mine

    @rule(side=sides, name=names, flags=st.sampled_from([os.O_RDONLY, os.O_RDWR, os.O_TRUNC]))
    def open(self, side: int, name: bytes, flags: int) -> None:
        rig, mine = self.revalidated(side)
        node = mine.find(name)
        if flags == os.O_TRUNC and not (node and node.base):
            flags = os.O_RDWR  # to write what is there is a change of times, and loses to a removal
        writes = flags != os.O_RDONLY or node is None
        node = self.model.open(mine, name, writes=writes, cut=flags == os.O_TRUNC)
        number = rig.open_file(name, flags | (os.O_RDWR if flags else 0))
        self.open_files.append(OpenHandle(side, number, node, writes))

    @rule(data=st.data(), offset=st.sampled_from([0, 3, 2000, 5000]), big=st.booleans())
    def write(self, data: st.DataObject, offset: int, big: bool) -> None:
        found = [opened for opened in self.open_files if opened.writes]
        if found:
            self.write_one(data.draw(st.sampled_from(found)), offset, big=big)

    def write_one(self, opened: OpenHandle, offset: int, *, big: bool) -> None:
        rig, _ = self.both(opened.side)
        self.count += 1
        text = b"%06d" % self.count * (1000 if big else 1)
        rig.write_handle(opened.number, offset, text)
        self.model.write(opened.node, offset, text)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        if self.open_files:
            opened = data.draw(st.sampled_from(self.open_files))
            assert self.rigs[opened.side].read_handle(opened.number) == opened.node.data

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if self.open_files:
            self.close_one(data.draw(st.sampled_from(self.open_files)))

    def close_one(self, opened: OpenHandle) -> None:
        rig, side = self.both(opened.side)
        assert rig.read_handle(opened.number) == opened.node.data
        rig.close_file(opened.number)
        self.model.close(side, opened.node, writes=opened.writes)
        self.open_files.remove(opened)

    @rule(side=sides, name=names)
    def unlink(self, side: int, name: bytes) -> None:
        rig, mine = self.revalidated(side)
        if name in mine.look():
            rig.unlink_file(name)
            self.model.unlink(mine, name)

    @rule(side=sides, name=names, new=names)
    def rename(self, side: int, name: bytes, new: bytes) -> None:
        rig, mine = self.revalidated(side)
        if name in mine.look() and name != new:
            rig.rename_file(name, new)
            self.model.rename(mine, name, new)

    @rule(side=sides)
    def look(self, side: int) -> None:
        rig, mine = self.revalidated(side)
        assert rig.look() == mine.look()
        rig.forget()
        check_books(rig)

    @rule(data=st.data(), clean=st.booleans())
    def replace_and_write(self, data: st.DataObject, clean: bool) -> None:
        """The other mount replaces an open file, which is then written to here."""
        found = [opened for opened in self.open_files if opened.writes and opened.node.name]
        if found:
            opened = data.draw(st.sampled_from(found))
            assert opened.node.name is not None
            if clean:
                self.commit(opened.side)
            self.open(1 - opened.side, opened.node.name, os.O_RDWR)
            self.write_one(self.open_files[-1], 3, big=True)
            self.close_one(self.open_files[-1])
            self.look(opened.side)
            self.write_one(opened, 0, big=False)

    @rule(side=sides)
    def publish_now_and_then(self, side: int) -> None:
        rig, mine = self.both(side)
        trio.run(rig.sharing.commit)
        self.model.publish(mine)
        rig.settle_down()

    @rule(side=sides)
    def commit(self, side: int) -> None:
        rig, mine = self.both(side)
        rig.commit()
        self.model.publish(mine, held=False)

    @rule(side=sides)
    def check_lease(self, side: int) -> None:
        mine = [opened.number for opened in self.open_files if opened.side == side]
        check_leased(self.rigs[side], mine)


TestSharing = SharingMachine.TestCase
TestSharing.settings = settings(
    max_examples=int(os.environ.get("VOLFS_MACHINE_EXAMPLES", "25")),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
