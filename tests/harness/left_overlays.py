"""Random overlays that lost their base: an older copy of the store is in its place."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.rig import Rig, list_tree
from volfs.errors import FileSystemError
from volfs.model.entry import FileKind
from volfs.model.names import Path as VolumePath
from volfs.sessions.facts import FACTS, SessionFacts, encode_facts
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.volumes import create_volume

NAMES = [b"a", b"b", b"c", b"d", b"\xff\n", b"e e"]
Tree = dict[VolumePath, tuple[Any, ...]]


class RandomOperations:
    """Random operations on a mount."""

    def __init__(self, rig: Rig, draw: random.Random) -> None:
        self.rig = rig
        self.draw = draw

    def run(self, count: int) -> None:
        operations = [
            *[self.write] * 5,
            *[self.make] * 2,
            *[self.mkdir] * 2,
            self.cut,
            self.link,
            self.link,
            self.unlink,
            self.unlink,
            self.rename,
            self.rename,
            self.remove,
            self.chmod,
            self.set_xattr,
            self.special,
        ]
        for _ in range(count):
            with suppress(FileSystemError, AssertionError, IndexError):
                self.draw.choice(operations)()

    def path(self) -> VolumePath:
        depth = self.draw.choice((1, 1, 2, 2, 3))
        return tuple(self.draw.choice(NAMES) for _ in range(depth))

    def there(self) -> VolumePath:
        """A path that is there, or the root."""
        path: VolumePath = ()
        for _ in range(self.draw.choice((1, 1, 2, 3))):
            names = self.rig.list(path)
            if not names:
                break
            path = (*path, self.draw.choice(names))
            if self.rig.get(path).entry.kind != FileKind.DIRECTORY:
                break
        return path

    def write(self) -> None:
        path = self.there() if self.draw.random() < 0.6 else self.path()
        offset = self.draw.choice((0, 0, 1, 100, 4096, 9000, 70_000))
        data = self.draw.randbytes(self.draw.choice((1, 10, 1500, 5000, 20_000)))
        self.rig.write(path, data, offset)

    def make(self) -> None:
        self.rig.make(self.path())

    def mkdir(self) -> None:
        self.rig.mkdir(self.path())

    def cut(self) -> None:
        size = self.draw.choice((0, 5, 5000, 100_000))
        self.rig.settle(self.rig.files.set_attributes, self.rig.get(self.there()).ino, size=size)

    def link(self) -> None:
        self.rig.link(self.there(), self.path())

    def unlink(self) -> None:
        self.rig.unlink(self.there())

    def rename(self) -> None:
        self.rig.rename(self.there(), self.path())

    def remove(self) -> None:
        """A directory and all in it."""
        top = self.there()
        for path in sorted(list_tree(self.rig), key=len, reverse=True):
            if path and path[: len(top)] == top:
                with suppress(FileSystemError):
                    self.rig.unlink(path)
                with suppress(FileSystemError):
                    self.rig.rmdir(path)

    def chmod(self) -> None:
        self.rig.set(self.there(), mode=self.draw.choice((0o600, 0o755, 0o4711)))

    def set_xattr(self) -> None:
        ino = self.rig.get(self.there()).ino
        self.rig.settle(self.rig.files.set_xattr, ino, b"user.x", self.draw.randbytes(5))

    def special(self) -> None:
        kind = self.draw.choice((FileKind.SYMLINK, FileKind.FIFO, FileKind.SOCKET))
        target = b"to \xff" if kind == FileKind.SYMLINK else b""
        self.rig.make(self.path(), kind, 0o640, target=target)


class RestoredStore(NamedTuple):
    """What there is once the older store is back; trees as mounts showed them."""

    store: Store
    volume: VolumeRecord
    session: Path
    old: Tree
    base: Tree
    last: Tree


def make_restored_store(directory: Path, seed: int) -> RestoredStore:
    """One with hints of every kind: the session lies in the restored store."""
    draw = random.Random(seed)
    place = directory / "store"
    store = open_store(str(place), create=True)
    volume = create_volume(store, "data", chunk_bits=12)
    session = directory / "data-0123456789ab"
    ticks = iter(range(10**18, 10**18 + 10**9, 1001))
    rig = Rig(store, volume, session, lambda: next(ticks))
    rig.strict = False
    (session / FACTS).write_bytes(encode_facts(SessionFacts(volume.id, "data", "/nowhere")))
    operations = RandomOperations(rig, draw)
    operations.run(draw.choice((5, 30)))
    rig.commit()
    old = list_tree(rig)
    shutil.copytree(place, directory / "backup")
    operations.run(draw.choice((0, 5, 30)))
    rig.make((b"lost",))
    rig.commit()
    base = list_tree(rig)
    if draw.random() < 0.7:  # as after a restart: nothing is loaded
        rig.close()
        rig = Rig(store, volume, session, lambda: next(ticks))
        rig.strict = False
        operations.rig = rig
    rig.unlink((b"lost",))
    operations.run(draw.choice((1, 5, 30)))
    rig.flush()
    last = list_tree(rig)
    rig.close()
    store.close()
    shutil.rmtree(place)
    shutil.copytree(directory / "backup", place)
    inner = place / "mounts" / session.name
    inner.parent.mkdir(exist_ok=True)
    shutil.copytree(session, inner)
    return RestoredStore(open_store(str(place)), volume, inner, old, base, last)


def facts(described: tuple[Any, ...]) -> tuple[Any, ...]:
    """Kind, mode, owner, attributes, target and content: no times, no count of names."""
    kind, mode, uid, _, _, xattrs, target, *content = described
    return (kind, mode, uid, xattrs, target, *content)
