"""``with volume.batch_upload() as batch``: local files become one version, all of them or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Self

from volfs.api.twins import run_in_thread
from volfs.errors import (
    EntryExistsError,
    InvalidError,
    IsADirectoryInVolumeError,
    LocalFileError,
    NotADirectoryInVolumeError,
)
from volfs.model.names import Path as VolumePath
from volfs.model.names import parse_path
from volfs.model.progress import Report, report_nothing
from volfs.system.directories import OpenTree
from volfs.volume.local_content import STREAM_MODE, ByteStream
from volfs.volume.local_listing import Local, iter_files

AnyPath = str | os.PathLike[str]

MakeVersion = Callable[[list[Local], list[ByteStream], bool, Report], None]
"""A function that makes one version of the files. The bool says whether files may be
overwritten."""


class _LocalDirectory(NamedTuple):
    """A local directory, and the path in the volume for its files."""

    top: bytes
    path: VolumePath
    recursive: bool
    pattern: str | None

    def find_files(self, tree: OpenTree) -> Iterator[Local]:
        start = len(self.path)
        for item in iter_files(tree.top, self.path, recursive=self.recursive):
            if self.takes(item.path[start:]):
                yield item

    def takes(self, inside: VolumePath) -> bool:
        path = PurePosixPath(os.fsdecode(b"/".join(inside)))
        return self.pattern is None or path.match(self.pattern)


class BatchUpload:
    """The files to put into a volume, and their paths there. Nothing is read before the block
    ends, and nothing if the block raises."""

    def __init__(
        self, upload: MakeVersion, *, force: bool, report: Report = report_nothing
    ) -> None:
        self._upload = upload
        self._force = force
        self._report = report
        self._files: list[tuple[Path, PurePosixPath, int | None]] = []
        self._streams: list[ByteStream] = []
        self._directories: list[_LocalDirectory] = []

    def put_file(
        self,
        local_file: AnyPath | BinaryIO | BytesIO,
        remote_path: PurePosixPath | str,
        mode: int | None = None,
    ) -> None:
        """Put a local file, or the contents of a file object from its beginning.

        ``mode`` is the permissions. With None or 0, they are those of the local file, or 0o644 for
        a file object. ValueError for a path that cannot be a file's. When the block ends:
        FileNotFoundError; IsADirectoryError.
        """
        remote = PurePosixPath(remote_path)
        if remote.as_posix().endswith("/"):
            raise ValueError(f"remote_path ({remote}) must refer to a file - cannot end with /")
        if isinstance(local_file, str | os.PathLike):
            self._files.append((Path(local_file).absolute(), remote, mode))
        else:
            permissions = (mode or STREAM_MODE) & 0o7777
            self._streams.append(ByteStream(local_file, _parse(remote), permissions))

    def put_directory(
        self,
        local_path: AnyPath,
        remote_path: PurePosixPath | str,
        recursive: bool = True,
    ) -> None:
        """Put the files in a directory, and with ``recursive`` those below it, under
        ``remote_path``.

        Symlinks to files are followed, symlinks to directories are not. Anything that is not a
        file is left out, and so is a directory without any file. AssertionError if ``local_path``
        is not a directory. When the block ends: PermissionError for a symlink that belongs to
        another user.
        """
        self.add_directory(local_path, remote_path, recursive=recursive)

    def add_directory(
        self,
        local_path: AnyPath,
        remote_path: PurePosixPath | str,
        *,
        recursive: bool = True,
        pattern: str | None = None,
    ) -> None:
        """As ``put_directory``, for the files whose paths in the directory match a ``pattern``."""
        top = Path(local_path).absolute()
        if not top.is_dir():
            raise AssertionError
        at = _parse(PurePosixPath(remote_path))
        self._directories.append(_LocalDirectory(os.fsencode(top), at, recursive, pattern))

    # --- ending the block ------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._commit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await run_in_thread(self._commit)

    def _commit(self) -> None:
        with ExitStack() as trees, _local_errors():
            files = [_look_at(*item) for item in self._files]
            for directory in self._directories:
                tree = trees.enter_context(OpenTree(directory.top))
                files += directory.find_files(tree)
            self._commit_files(files)

    def _commit_files(self, files: list[Local]) -> None:
        streams = [_from_start(stream) for stream in self._streams]
        if self._force:
            files, streams = _last_of_each(files, streams)
        if not (files or streams):
            return
        with _volume_errors(self._force):
            self._upload(files, streams, self._force, self._report)


def _look_at(local: Path, remote: PurePosixPath, mode: int | None) -> Local:
    status = local.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{local}: is a directory; put_directory puts what is in it")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidError(f"{local}: not a file")
    return Local(os.fsencode(local), _parse(remote), status, (mode or 0) & 0o7777 or None)


def _from_start(stream: ByteStream) -> ByteStream:
    stream.file.seek(0)
    return stream


def _last_of_each(
    files: list[Local], streams: list[ByteStream]
) -> tuple[list[Local], list[ByteStream]]:
    """The last of the files that go to one path. File objects count as later than files."""
    last_streams = {stream.path: stream for stream in streams}
    last_files = {item.path: item for item in files if item.path not in last_streams}
    return list(last_files.values()), list(last_streams.values())


def _parse(remote: PurePosixPath) -> VolumePath:
    return parse_path(remote.as_posix())


@contextmanager
def _local_errors() -> Iterator[None]:
    """Raise the system's error about a local file unchanged."""
    try:
        yield
    except LocalFileError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise


@contextmanager
def _volume_errors(force: bool) -> Iterator[None]:
    try:
        yield
    except IsADirectoryInVolumeError as error:
        raise FileExistsError(str(error)) from None
    except EntryExistsError as error:
        hint = "" if force else "; force=True overwrites files"
        raise FileExistsError(f"{error}{hint}") from None
    except NotADirectoryInVolumeError as error:
        raise NotADirectoryError(str(error)) from None
