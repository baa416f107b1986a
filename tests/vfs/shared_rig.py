"""A mount of a network file system that nobody mounted."""

from __future__ import annotations

import trio
import trio.testing

from tests.harness.rig import Rig
from volfs.vfs.inode import File
from volfs.vfs.sharing import Sharing


class SharedRig(Rig):
    """What ``fuse/network_ops.py`` makes of the kernel's requests."""

    def begin(self) -> SharedRig:
        self.state.follows = True
        self.sharing = Sharing(self.committer, self.files, self.names)
        return self

    def revalidate(self) -> None:
        trio.run(self.sharing.revalidate)

    def open_file(self, name: bytes, flags: int) -> int:
        self.revalidate()
        if self.find((name,)) is None:
            made = self.make((name,))
            assert isinstance(made, File)
            return self.files.add_handle(made)
        return self.open((name,), flags)

    def close_file(self, handle: int) -> None:
        trio.run(self.sharing.close, handle)
        trio.run(self.sharing.release, handle)

    def unlink_file(self, name: bytes) -> None:
        self.revalidate()
        self.unlink((name,))
        trio.run(self.sharing.commit)

    def rename_file(self, name: bytes, new: bytes) -> None:
        self.revalidate()
        moved = self.get((name,))
        assert isinstance(moved, File)
        self.rename((name,), (new,))
        trio.run(self.sharing.commit_file, moved)
        trio.run(self.sharing.commit)

    def look(self) -> dict[bytes, bytes]:
        self.revalidate()
        return {name: self.read((name,)) for name in self.list()}

    def settle_down(self) -> None:
        trio.run(self.committer.settle)
