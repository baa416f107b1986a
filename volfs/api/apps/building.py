"""What images are made of: steps, each of which is done once on this machine.

A step's results lie in the cache directory, in a folder named after all steps up
to it; deleting that makes them again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Protocol

from volfs.api.apps.patterns import fits, parse_patterns
from volfs.containers.container import Bind
from volfs.errors import NotFoundError
from volfs.system.directories import OpenTree, empty_directory
from volfs.system.locks import locked_directory
from volfs.volume.local_listing import Local, iter_files, local_errors, opened_file

Ignore = tuple[str, ...] | Callable[[Path], bool]
_DONE = "done"
_said: set[str] = set()
"""Keys of what was made again in this process because ``force_build`` says so."""


class Recipe(Protocol):
    """What an image is to those who use one."""

    @property
    def identity(self) -> str:
        """Equal for images that a program makes in the same way."""

    def build(self) -> BuiltImage:
        """Do what was not done before, on this machine. RemoteError; what functions raise."""


@dataclass(frozen=True)
class BuiltImage:
    """What containers get of an image. It is a recipe of which nothing is left to do."""

    environment: dict[str, str] = field(default_factory=dict)
    import_paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """Directories for PATH."""
    binds: tuple[Bind, ...] = ()
    workdir: str | None = None

    @property
    def identity(self) -> str:
        return ""

    def build(self) -> BuiltImage:
        return self


@dataclass(frozen=True)
class Step:
    """``describe`` is equal where the result would be."""

    is_done_once: ClassVar[bool] = True

    def describe(self) -> str:
        raise NotImplementedError

    def identify(self) -> str:
        """Equal where the program says the same, whatever is in files: the same in a container."""
        return self.describe()

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        """What containers get with it, after what is ``built``. RemoteError; NotFoundError."""
        raise NotImplementedError


@dataclass(frozen=True)
class Variables(Step):
    is_done_once = False
    variables: dict[str, str]

    def describe(self) -> str:
        return repr(sorted(self.variables.items()))

    def identify(self) -> str:
        return repr(sorted(self.variables))

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        return replace(built, environment={**built.environment, **self.variables})


@dataclass(frozen=True)
class Workdir(Step):
    is_done_once = False
    path: str

    def describe(self) -> str:
        return self.path

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        return replace(built, workdir=self.path)


@dataclass(frozen=True)
class LocalPath(Step):
    """A file or directory of this machine, read-only at another place."""

    source: Path
    place: str
    ignore: Ignore = ()
    copy: bool = False

    def describe(self) -> str:
        return repr((str(self.source), self.place, list(self._hash()) if self.copy else ""))

    def identify(self) -> str:
        return repr((self.source.name, self.place, self.copy))

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        if not self.source.exists():
            raise NotFoundError(f"{self.source}: no such file or directory")
        source = self.source
        if self.copy or (self.ignore and source.is_dir()):
            source = self._copy()
        return replace(built, binds=join_binds(built.binds, Bind(source, self.place)))

    def _copy(self) -> Path:
        with once(make_key("copy", *self._hash())) as folder:
            if folder.is_new:
                self.copy_to(folder.path / "files", os.fsencode(self.source.name))
        files = folder.path / "files"
        return files if self.source.is_dir() else next(files.iterdir())

    def copy_to(self, target: Path, name: bytes = b"") -> None:
        """Into a directory; a file as ``name`` in it. LocalFileError."""
        target.mkdir(parents=True, exist_ok=True)
        for item in self._iter_files():
            path = b"/".join(item.path) if self.source.is_dir() else name
            _copy_file(item, target / os.fsdecode(path))

    def _hash(self) -> Iterator[str]:
        return (f"{os.fsdecode(item.local)} {digest}" for item, digest in self._iter_hashed())

    def hash_content(self) -> list[str]:
        """Wherever it is."""
        return [f"{item.path!r} {digest}" for item, digest in self._iter_hashed()]

    def _iter_hashed(self) -> Iterator[tuple[Local, str]]:
        for item in self._iter_files():
            with opened_file(item) as fd, open(fd, "rb", closefd=False) as file:
                yield item, hashlib.file_digest(file, "blake2b").hexdigest()

    def _iter_files(self) -> Iterator[Local]:
        """By descriptor: somebody else may change the directory meanwhile. LocalFileError."""
        source = os.fsencode(self.source)
        with local_errors(source):
            if not self.source.is_dir():
                yield Local(source, (source.rpartition(b"/")[2],), self.source.stat())
                return
            with OpenTree(source) as tree:
                for item in iter_files(tree.top, ()):
                    if not is_ignored(Path(os.fsdecode(b"/".join(item.path))), self.ignore):
                        yield item


def _copy_file(item: Local, target: Path) -> None:
    """With its mode and times. LocalFileError if it is not the one that was listed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with opened_file(item) as fd, open(fd, "rb", closefd=False) as file:
        with target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        status = os.fstat(fd)
        target.chmod(stat.S_IMODE(status.st_mode) & 0o777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


# --- one within another -----------------------------------------------------


def join_binds(binds: tuple[Bind, ...], new: Bind) -> tuple[Bind, ...]:
    """As if each had been copied to its place, the new one last.

    What is mounted read-only can have another one in it only where that has a mount point;
    where it has none, a copy of both takes their place.
    """
    if new.source.is_dir():
        inner = [bind for bind in binds if bind.path.startswith(f"{new.path}/")]
        binds = tuple(bind for bind in binds if bind not in inner)
        for bind in inner:
            new = _merge(new, bind, is_over=False)
    for number, outer in enumerate(binds):
        if outer.source.is_dir() and f"{new.path}/".startswith(f"{outer.path}/"):
            if new.source.is_file() and (outer.source / new.path[len(outer.path) + 1 :]).is_file():
                break  # it has a mount point there
            joined = _merge(outer, new, is_over=True)
            return (*binds[:number], joined, *binds[number + 1 :])
    return (*(bind for bind in binds if bind.path != new.path), new)


def _merge(outer: Bind, inner: Bind, *, is_over: bool) -> Bind:
    """A copy of a directory with another one, or a file, in it. ``is_over``: that one counts."""
    within = inner.path[len(outer.path) :].strip("/")
    parts = [LocalPath(outer.source, ""), LocalPath(inner.source, "")]
    places = [Path(), Path(within) if inner.source.is_dir() else Path(within).parent]
    order = (0, 1) if is_over else (1, 0)
    hashes = [text for part in parts for text in part.hash_content()]
    with once(make_key("merge", within, repr(order), *hashes)) as folder:
        if folder.is_new:
            for which in order:
                name = os.fsencode(Path(within).name)
                parts[which].copy_to(folder.path / "files" / places[which], name)
    return Bind(folder.path / "files", outer.path)


def is_ignored(path: Path, ignore: Ignore) -> bool:
    """As a .dockerignore says it: the last pattern that fits counts, ``!`` takes back."""
    return ignore(path) if callable(ignore) else fits(_parse_once(ignore), path)


_parse_once = lru_cache(parse_patterns)


# --- the cache --------------------------------------------------------------


def make_key(*parts: str) -> str:
    return hashlib.blake2b(
        "\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16
    ).hexdigest()


@dataclass
class Folder:
    path: Path
    is_new: bool


@contextmanager
def once(key: str, *, force: bool = False) -> Iterator[Folder]:
    """The folder of a step; new until a block has left it without an error. One at a time."""
    path = _find_cache() / key
    path.mkdir(parents=True, exist_ok=True)
    with locked_directory(path):
        again = force and key not in _said
        folder = Folder(path, again or not (path / _DONE).exists())
        if folder.is_new:
            _empty(path)
        yield folder
        (path / _DONE).touch()
        _said.add(key)


def _empty(path: Path) -> None:
    with OpenTree(os.fsencode(path)) as tree:
        empty_directory(tree.top)


def _find_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "volfs" / "images"
