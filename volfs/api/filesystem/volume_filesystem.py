"""``VolumeFileSystem``: the volumes of a store for fsspec, and so for pandas, pyarrow and others.

The first name of a path is a volume. Nothing is mounted: reads are of a committed version, and
each call that changes something makes one version. ``docs/fsspec.md`` is the page for users.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fsspec.spec import AbstractFileSystem
from fsspec.transaction import Transaction

from volfs.api.filesystem.change_batch import ChangeBatch
from volfs.api.filesystem.file_facts import FsspecFacts, describe_volumes_list
from volfs.api.filesystem.following import follow_links
from volfs.api.filesystem.nested_calls import NestedCalls
from volfs.api.filesystem.tree_listing import find_below, find_facts, list_directory
from volfs.api.filesystem.volume_access import OpenVersion, VolumeAccess, file_errors
from volfs.api.filesystem.volume_files import ReadFile, WrittenFile
from volfs.api.filesystem.volume_urls import (
    VolumePlace,
    find_options,
    parse_place,
    strip_scheme,
)
from volfs.errors import (
    AlreadyExistsError,
    DirectoryNotEmptyError,
    EntryExistsError,
    OverriddenError,
)
from volfs.model.entry import replace
from volfs.model.manifest import MESSAGE_MAX
from volfs.model.names import Path, show_path
from volfs.model.text import cut_stored
from volfs.store.clock import now_ns
from volfs.volume.commit import CommitNote, OnConflict
from volfs.volume.edit import Edit


class VolumeTransaction(Transaction):  # type: ignore[misc]
    """``with fs.transaction``: everything in the block is one version of each volume, or, if the
    block raises, nothing."""

    def __init__(self, fs: VolumeFileSystem) -> None:
        super().__init__(fs)
        self.batch = fs.new_batch()

    def complete(self, commit: bool = True) -> None:
        """Publish, or forget, what was changed since the transaction began."""
        try:
            super().complete(commit)
            if commit:
                self.batch.commit(_make_note("transaction"))
        finally:
            self.batch.discard()


class VolumeFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The volumes of a store, as a file system.

    ``store`` is an address as in ``VOLFS_STORE``, and ``environment`` that of the volumes; both are
    by default those in force. ``at`` is the version to read: a number, a tag, or ``head``. With
    another version than ``head``, nothing can be written.
    """

    protocol = "volfs"
    root_marker = ""
    transaction_type = VolumeTransaction

    def __init__(
        self,
        store: str | None = None,
        environment: str | None = None,
        at: str | int = "head",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._access = VolumeAccess(store, environment, str(at))
        self._calls = NestedCalls()

    # --- addresses -------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return strip_scheme(str(path))

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return find_options(path)

    @property
    def fsid(self) -> str:
        """The store and the environment."""
        return f"volfs-{self._access.url}-{self._access.environment}"

    # --- looking ---------------------------------------------------------

    def info(self, path: str, **_: Any) -> FsspecFacts:
        """``name``, ``size`` in bytes and ``type``, and ``mtime``, ``mode``, ``uid``, ``gid``.
        Symlinks are followed. FileNotFoundError."""
        place = self._parse(path)
        if not place.volume:
            return describe_volumes_list()
        with file_errors(), self._tree(place.volume) as tree:
            return find_facts(tree, place)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The entries of a directory, or a file itself. FileNotFoundError."""
        place = self._parse(path)
        if not place.volume:
            found = [self.info(name) for name in self._access.list_names()]
        else:
            with file_errors(), self._tree(place.volume) as tree:
                found = list(list_directory(tree, place))
        return found if detail else [facts["name"] for facts in found]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **_: Any,
    ) -> Any:
        """The files below a directory, all of one version, and with ``withdirs`` the
        directories."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        place = self._parse(path)
        volumes = [place] if place.volume else map(self._parse, self._access.list_names())
        found: dict[str, FsspecFacts] = {}
        for each in volumes:
            depth = maxdepth if place.volume or maxdepth is None else maxdepth - 1
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                file_errors(),
                self._tree(each.volume) as tree,
            ):
                found |= find_below(tree, each, depth, withdirs)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def modified(self, path: str) -> datetime:
        """When the content of a file was changed."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    # --- reading ---------------------------------------------------------

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes of a file from ``start`` to ``end``; negative numbers count from its end."""
        with self._open(self._strip_protocol(path), cache_type="none") as file:
            first, last, _step = slice(start, end).indices(file.size)
            file.seek(first)
            return bytes(file.read(max(last - first, 0)))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kw: Any) -> Any:
        """The bytes of files, all of one version of each volume."""
        with self._calls.pinning():
            return super().cat(path, recursive=recursive, on_error=on_error, **kw)

    def get(self, rpath: Any, lpath: Any, **kw: Any) -> Any:
        """Copy to the machine, all from one version of each volume."""
        with self._calls.pinning():
            return super().get(rpath, lpath, **kw)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> ReadFile | WrittenFile:
        place = self._parse(path)
        if not place.path:
            raise IsADirectoryError(f"{path or '/'}: is a directory")
        options |= {
            "block_size": block_size,
            "autocommit": autocommit,
            "cache_options": cache_options,
        }
        if mode == "rb":
            return ReadFile(self, path, place, self._tree(place.volume), **options)
        self._check_writable()
        batch, owned = self._find_batch()
        note = _make_note(f"write {path}", on_conflict="fail" if mode == "xb" else "override")
        publish = partial(_end_batch, batch, note) if owned else _leave_batch
        try:
            editing = partial(batch.editing, place.volume)
            return WrittenFile(self, path, place, mode, editing, publish, **options)
        except BaseException:
            publish(False)
            raise

    # --- changing --------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a directory, or a volume if the path is only its name. FileExistsError."""
        self._make_directory(path, parents=create_parents, exist_ok=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """As ``mkdir``, with the directories above."""
        self._make_directory(path, parents=True, exist_ok=exist_ok)

    def _make_directory(self, path: str, *, parents: bool, exist_ok: bool) -> None:
        place = self._parse(path)
        if not place.path:
            self._make_volume(place.volume, exist_ok=exist_ok)
            return
        with self._editing(place.volume, f"make {path}") as edit:
            where = follow_links(edit.find, place.path)
            old = edit.find(where)
            if old is not None and not (exist_ok and old.is_directory):
                raise EntryExistsError(f"{show_path(where)}: already exists")
            if not parents:
                edit.open(where[:-1])
            edit.make_directories(where)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        place = self._parse_inside(path)
        with self._editing(place.volume, f"remove {path}") as edit:
            where = follow_links(edit.find, place.path)
            if edit.open(where).length:
                raise DirectoryNotEmptyError(f"{path}: directory not empty")
            edit.remove(where, recursive=True)

    def rm_file(self, path: str) -> None:
        """Remove a file or a symlink. FileNotFoundError; IsADirectoryError."""
        self._remove(path, recursive=False)

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with ``recursive`` directories, as one version of each volume."""
        with self._batched(f"remove {path}"):
            if maxdepth is not None:
                super().rm(path, recursive=recursive, maxdepth=maxdepth)
                return
            for each in self.expand_path(path, recursive=False):
                self._remove(each, recursive=recursive)

    def _remove(self, path: str, *, recursive: bool) -> None:
        place = self._parse_inside(path)
        with self._editing(place.volume, f"remove {path}") as edit:
            above = follow_links(edit.find, place.path[:-1])
            edit.remove((*above, *place.path[-1:]), recursive=recursive)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file or make a directory. Inside a volume, no bytes are copied."""
        source, target = self._parse(path1), self._parse_inside(path2)
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
        elif source.volume != target.volume:
            with self.open(path1, "rb") as reading, self.open(path2, "wb") as writing:
                shutil.copyfileobj(reading, writing, 1 << 20)
        else:
            with self._editing(source.volume, f"copy {path1} to {path2}") as edit:
                self._copy_inside(edit, source.path, target.path)

    def _copy_inside(self, edit: Edit, source: Path, target: Path) -> None:
        where = follow_links(edit.find, target)
        edit.make_directories(where[:-1])
        followed = follow_links(edit.find, source)
        if followed != where:
            edit.copy(followed, where)

    def copy(self, path1: Any, path2: Any, **kw: Any) -> None:
        """Copy files, as one version of each volume."""
        with self._batched(f"copy {path1} to {path2}"), self._calls.pinning():
            super().copy(path1, path2, **kw)

    def mv(self, path1: str, path2: str, **kw: Any) -> None:
        """Move files, as one version of each volume."""
        with self._batched(f"move {path1} to {path2}"):
            super().mv(path1, path2, **kw)

    def put(self, lpath: Any, rpath: Any, **kw: Any) -> None:
        """Copy from the machine, as one version of each volume."""
        with self._batched(f"put {rpath}"):
            super().put(lpath, rpath, **kw)

    def pipe(self, path: Any, value: Any = None, **kw: Any) -> None:
        """Write bytes into files, as one version of each volume."""
        with self._batched("pipe"):
            super().pipe(path, value, **kw)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kw: Any) -> None:
        """Write bytes into a file. With ``mode="create"``, FileExistsError if it is there."""
        with self.open(path, "xb" if mode == "create" else "wb", **kw) as file:
            file.write(value)

    def touch(self, path: str, truncate: bool = True, **kw: Any) -> None:
        """Make an empty file. Without ``truncate``, a file that is there gets the present time."""
        place = self._parse_inside(path)
        if not truncate:
            with self._editing(place.volume, f"touch {path}") as edit:
                where = follow_links(edit.find, place.path)
                if (entry := edit.find(where)) is not None:
                    now = now_ns()
                    edit.put(where, replace(entry, group=0, links=1, mtime_ns=now, ctime_ns=now))
                    return
        super().touch(path, truncate=True, **kw)

    # --- inside ----------------------------------------------------------

    def new_batch(self) -> ChangeBatch:
        """A batch of changes to volumes of this store."""
        self._check_writable()
        return ChangeBatch(self._access.open_edit)

    def _parse(self, path: str) -> VolumePlace:
        return parse_place(self._strip_protocol(path))

    def _parse_inside(self, path: str) -> VolumePlace:
        """The place of something in a volume. PermissionError for a volume itself."""
        place = self._parse(path)
        if not place.path:
            raise PermissionError(
                f"{path!r} is a volume: `volfs delete` and `volfs rename` change those"
            )
        return place

    def _check_writable(self) -> None:
        if self._access.at != "head":
            raise PermissionError(f"at={self._access.at}: an old version cannot be changed")

    def _make_volume(self, volume: str, *, exist_ok: bool) -> None:
        self._check_writable()
        try:
            self._access.create(volume)
        except AlreadyExistsError as error:
            if not exist_ok:
                raise FileExistsError(str(error)) from None

    def _tree(self, volume: str) -> AbstractContextManager[OpenVersion]:
        """The version to read, for a ``with`` block."""
        return self._calls.open_tree(volume, self._access)

    def _find_batch(self) -> tuple[ChangeBatch, bool]:
        """The batch for changes, and whether it is new and the caller's own."""
        batch = self.transaction.batch if self._intrans else self._calls.batch
        return (batch, False) if batch is not None else (self.new_batch(), True)

    @contextmanager
    def _editing(self, volume: str, message: str) -> Iterator[Edit]:
        """The edit of a volume. It is published after the block, unless it is part of a batch."""
        batch, owned = self._find_batch()
        with ExitStack() as ending:
            if owned:
                ending.callback(batch.discard)
            with file_errors(), batch.editing(volume) as edit:
                yield edit
            if owned:
                batch.commit(_make_note(message))

    @contextmanager
    def _batched(self, message: str) -> Iterator[None]:
        """All changes that this thread makes in the block become one version of each volume."""
        batch, owned = self._find_batch()
        if not owned:
            yield
            return
        self._calls.batch = batch
        try:
            yield
        except BaseException:
            batch.discard()
            raise
        finally:
            self._calls.batch = None
        batch.commit(_make_note(message))


def _make_note(message: str, on_conflict: OnConflict = "override") -> CommitNote:
    return CommitNote(cut_stored(f"fsspec: {message}", MESSAGE_MAX), on_conflict=on_conflict)


def _end_batch(batch: ChangeBatch, note: CommitNote, publish: bool) -> None:
    """End the batch of a file. FileExistsError if the file had to be new, and somebody was
    faster."""
    if not publish:
        batch.discard()
        return
    try:
        batch.commit(note)
    except OverriddenError as error:
        raise FileExistsError(str(error)) from None


def _leave_batch(publish: bool) -> None:
    """The batch is ended by whoever began it."""
