"""The steps of images. Each is done once on this machine.

A step's results lie in the cache directory, in a folder named after all steps up to it. If the
folder is deleted, the results are made again.
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
from volfs.errors import InvalidError, NotFoundError
from volfs.system.directories import OpenTree, empty_directory
from volfs.system.locks import locked_directory
from volfs.system.user_directories import find_user_directory
from volfs.volume.local_listing import Local, iter_files, local_errors, opened_file

Ignore = tuple[str, ...] | Callable[[Path], bool]
_DONE = "done"
_said: set[str] = set()
"""The keys of steps that were done in this process. ``force_build`` does not do these again."""


class Recipe(Protocol):
    """An image, as its users see it."""

    @property
    def identity(self) -> str:
        """The identity, which is equal for images that a program makes in the same way."""

    def build(self) -> BuiltImage:
        """Do the steps that were not done before, on this machine. RemoteError; and what functions
        raise."""


@dataclass(frozen=True)
class BuiltImage:
    """The parts of an image that containers get. It is a recipe whose steps are all done."""

    environment: dict[str, str] = field(default_factory=dict)
    import_paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """The directories to add to PATH."""
    binds: tuple[Bind, ...] = ()
    workdir: str | None = None

    @property
    def identity(self) -> str:
        return ""

    def build(self) -> BuiltImage:
        return self


@dataclass(frozen=True)
class Step:
    """A step of an image. ``describe`` gives equal texts for steps with equal results."""

    is_done_once: ClassVar[bool] = True

    def describe(self) -> str:
        raise NotImplementedError

    def identify(self) -> str:
        """A text that depends on the program and not on the contents of files, so that it is the
        same in a container."""
        return self.describe()

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        """The parts that containers get after this step, if they had ``built`` before.
        RemoteError; NotFoundError."""
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
    """A file or directory of this machine, shown read-only at another place."""

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
        """Copy the files into a directory. A single file gets ``name`` there. LocalFileError."""
        target.mkdir(parents=True, exist_ok=True)
        for item in self._iter_files():
            path = b"/".join(item.path) if self.source.is_dir() else name
            _copy_file(item, target / os.fsdecode(path))

    def _hash(self) -> Iterator[str]:
        return (f"{os.fsdecode(item.local)} {digest}" for item, digest in self._iter_hashed())

    def hash_content(self) -> list[str]:
        """The paths and hashes of the files, without the place of the directory itself."""
        return [f"{item.path!r} {digest}" for item, digest in self._iter_hashed()]

    def _iter_hashed(self) -> Iterator[tuple[Local, str]]:
        for item in self._iter_files():
            with opened_file(item) as fd, open(fd, "rb", closefd=False) as file:
                yield item, hashlib.file_digest(file, "blake2b").hexdigest()

    def _iter_files(self) -> Iterator[Local]:
        """The files, opened by descriptor, because another program may change the directory
        meanwhile. LocalFileError."""
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
    """Copy a file with its mode and times. LocalFileError if it is not the file that was
    listed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with opened_file(item) as fd, open(fd, "rb", closefd=False) as file:
        with target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        status = os.fstat(fd)
        target.chmod(stat.S_IMODE(status.st_mode) & 0o777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


# --- binds within binds -----------------------------------------------------


def join_binds(binds: tuple[Bind, ...], new: Bind) -> tuple[Bind, ...]:
    """Join a bind to others, as if each had been copied to its place, the new one last.

    A read-only mount can contain another only if it has a mount point for it. If it has none, a
    copy of both takes their place.
    """
    if new.source.is_dir():
        inner = [bind for bind in binds if bind.path.startswith(f"{new.path}/")]
        binds = tuple(bind for bind in binds if bind not in inner)
        for bind in inner:
            new = _merge(new, bind, is_over=False)
    for number, outer in enumerate(binds):
        if outer.source.is_dir() and f"{new.path}/".startswith(f"{outer.path}/"):
            if new.source.is_file() and (outer.source / new.path[len(outer.path) + 1 :]).is_file():
                break  # the outer bind has a mount point there
            joined = _merge(outer, new, is_over=True)
            return (*binds[:number], joined, *binds[number + 1 :])
    return (*(bind for bind in binds if bind.path != new.path), new)


def _merge(outer: Bind, inner: Bind, *, is_over: bool) -> Bind:
    """Copy a directory, with another directory or a file in it. ``is_over``: the inner one
    wins."""
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
    """Whether a path is ignored, by the rules of a .dockerignore: the last pattern that matches
    decides, and ``!`` takes a path out again."""
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
    """The folder of a step, for one process at a time. It is new until a block has left it without
    an error."""
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
    base = find_user_directory("XDG_CACHE_HOME", ".cache")
    if base is None:
        raise InvalidError("no home directory, and no XDG_CACHE_HOME: nowhere to keep images")
    return base / "images"
