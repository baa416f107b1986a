"""One sequence of random calls on a mount and on a plain directory: everything must agree.

In the manner of fsx and fsstress. The plain directory says what is right: the
results of the calls, errors, and at the end names, contents and attributes.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE_MAX = 400_000
PAGE = mmap.PAGESIZE
NAMES = ["a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b", "f"]
DIRECTORIES = ["d", "d/e", "f", "g"]
LINKS = ["l", "m", "d/l", "f/l"]
_IGNORED_ATTRIBUTES = ("security.", "system.")


class Twins:
    """``mount`` and ``plain`` are directories that begin empty."""

    def __init__(self, mount: Path, plain: Path, seed: int) -> None:
        self.places = (mount, plain)
        self.chance = random.Random(seed)
        self.trail: list[str] = []
        self.open: list[tuple[int, int]] = []
        """Descriptors of the same file on both sides."""

    # --- doing both -------------------------------------------------------

    def both(self, what: str, call: Callable[[Path], Any]) -> tuple[Any, Any]:
        """The call on each side; what it gives must be equal, errors too."""
        self.trail.append(what)
        results = tuple(_attempt(call, place) for place in self.places)
        assert results[0] == results[1], self.explain(results)
        return results[0], results[1]

    def both_open(self, what: str, call: Callable[[int], Any]) -> None:
        """The call on a file that is open on both sides."""
        if not self.open:
            return
        pair = self.chance.choice(self.open)
        self.trail.append(f"{what} of descriptors {pair}")
        results = tuple(_attempt(call, descriptor) for descriptor in pair)
        assert results[0] == results[1], self.explain(results)

    def explain(self, results: tuple[Any, ...]) -> str:
        shown = [repr(result)[:200] for result in results]
        return "\n".join(["the mount and the plain directory differ:", *shown, *self.trail[-30:]])

    # --- one step ---------------------------------------------------------

    def step(self) -> None:
        chance = self.chance
        name, other = chance.choice(NAMES), chance.choice([*NAMES, *DIRECTORIES, *LINKS])
        directory = chance.choice(DIRECTORIES)
        offset, size = chance.randrange(SIZE_MAX), chance.randrange(1, 40_000)
        data = chance.randbytes(size) if chance.random() < 0.7 else bytes(size)
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        match kind:
            case "open":
                self.open_file(name, chance.choice([0, os.O_TRUNC, os.O_EXCL, os.O_APPEND]))
            case "close":
                self.close_one()
            case "write":
                self.both_open(f"write {size} at {offset}", lambda f: os.pwrite(f, data, offset))
            case "read":
                self.both_open(f"read {size} at {offset}", lambda f: os.pread(f, size, offset))
            case "truncate":
                self.both_open(f"truncate to {offset}", lambda f: os.ftruncate(f, offset))
            case "map":
                self.both_open(f"map write {size} at {offset}", lambda f: _map(f, offset, data))
            case "map read":
                self.both_open(f"map read {size} at {offset}", lambda f: _map(f, offset, size))
            case "fsync":
                self.both_open("fsync", os.fsync)
            case "copy":
                self.both(f"copy {name} to {other}", lambda at: _copy(at / name, at / other))
            case "unlink":
                old = chance.choice([name, *LINKS])
                self.both(f"unlink {old}", lambda at: os.unlink(at / old))
            case "mkdir":
                self.both(f"mkdir {directory}", lambda at: os.mkdir(at / directory))
            case "rmdir":
                self.both(f"rmdir {directory}", lambda at: os.rmdir(at / directory))
            case "rename":
                old = chance.choice([name, directory])
                self.both(f"rename {old} {other}", lambda at: os.rename(at / old, at / other))
            case "link":
                new = chance.choice(LINKS)
                self.both(f"link {name} {new}", lambda at: os.link(at / name, at / new))
            case "symlink":
                self.both(f"symlink {name}", lambda at: os.symlink("a", at / name))
            case "chmod":
                mode = chance.randrange(0o1000)
                self.both(f"chmod {other} {mode:o}", lambda at: os.chmod(at / other, mode))
            case "utime":
                when = chance.randrange(1 << 60)
                self.both(f"utime {other}", lambda at: os.utime(at / other, ns=(when, when)))
            case "xattr":
                key, value = f"user.{size % 4}", data[:100]
                self.both(f"setxattr {other}", lambda at: os.setxattr(at / other, key, value))
            case "list":
                self.both(f"list {directory}", lambda at: sorted(os.listdir(at / directory)))

    def open_file(self, name: str, extra: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | extra
        self.trail.append(f"open {name} {extra:#o}")
        results = [_attempt(lambda at: os.open(at / name, flags), at) for at in self.places]
        failed = [result if isinstance(result, str) else "" for result in results]
        assert failed[0] == failed[1], self.explain(tuple(results))
        if not failed[0]:
            self.open.append((results[0], results[1]))

    def close_one(self) -> None:
        if self.open:
            pair = self.open.pop(self.chance.randrange(len(self.open)))
            for descriptor in pair:
                os.close(descriptor)

    def close_all(self) -> None:
        while self.open:
            self.close_one()

    # --- comparing --------------------------------------------------------

    def compare(self) -> None:
        mount, plain = (list_all(place) for place in self.places)
        assert mount == plain, "\n".join(
            ["trees differ:", *_differences(mount, plain), *self.trail[-30:]]
        )


_WEIGHTS = {
    "open": 14, "close": 10, "write": 18, "read": 10, "truncate": 5, "map": 5, "map read": 5,
    "fsync": 1, "copy": 3, "unlink": 3, "mkdir": 4, "rmdir": 2, "rename": 6, "link": 4,
    "symlink": 1, "chmod": 2, "utime": 2, "xattr": 2, "list": 3,
}  # fmt: skip


def _attempt(call: Callable[[Any], Any], subject: object) -> Any:
    """What a call gives, or the name of its error."""
    try:
        return call(subject)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _map(descriptor: int, offset: int, what: bytes | int) -> bytes | None:
    """Read or write through a mapping, within the file, from a page's beginning."""
    size = os.fstat(descriptor).st_size
    start = min(offset, size) // PAGE * PAGE
    length = min(size - start, what if isinstance(what, int) else len(what))
    if length <= 0:
        return None
    with mmap.mmap(descriptor, length, offset=start) as mapped:
        if isinstance(what, int):
            return mapped[:]
        mapped[:] = what[:length]
    return None


def _copy(source: Path, target: Path) -> int:
    """By the kernel, from one file into another that is there already or new."""
    with source.open("rb") as reader, target.open("r+b" if target.exists() else "wb") as writer:
        if os.fstat(reader.fileno()).st_ino == os.fstat(writer.fileno()).st_ino:
            return 0
        return os.sendfile(writer.fileno(), reader.fileno(), 0, SIZE_MAX)


def list_all(place: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory that two file systems should agree on."""
    found: dict[str, tuple[object, ...]] = {}
    for here, directories, files in os.walk(place):
        for name in [*directories, *files]:
            path = Path(here, name)
            found[os.path.relpath(path, place)] = _describe(path)
    return found


def _describe(path: Path) -> tuple[object, ...]:
    facts = path.lstat()
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFLNK:
        return kind, os.readlink(path)
    attributes = tuple(
        (name, os.getxattr(path, name))
        for name in sorted(os.listxattr(path))
        if not name.startswith(_IGNORED_ATTRIBUTES)
    )
    if kind == stat.S_IFDIR:
        return facts.st_mode, facts.st_nlink, attributes
    data = path.read_bytes()
    assert len(data) == facts.st_size, f"{path}: {len(data)} bytes of {facts.st_size}"
    return facts.st_mode, facts.st_nlink, facts.st_size, attributes, data


def _differences(mount: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    names = sorted(mount.keys() | plain.keys())
    return [
        f"{name}: {str(mount.get(name))[:150]} | {str(plain.get(name))[:150]}"
        for name in names
        if mount.get(name) != plain.get(name)
    ]
