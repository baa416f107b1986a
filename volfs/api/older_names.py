"""Methods that documents about Modal give Volume, and that Modal itself does not have. Each warns
with DeprecationError."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from volfs.api.batch_upload import AnyPath, BatchUpload
from volfs.api.changing import Changeable
from volfs.api.deprecated import BLOCKING, warn_of
from volfs.api.reading import Readable, path_errors
from volfs.api.twins import blocking
from volfs.model.names import parse_path
from volfs.model.progress import Progress, report_nothing
from volfs.volume.get import get_to_local


class OlderNames(Changeable, Readable):
    """Methods for one file or directory at a time. They overwrite files."""

    @blocking
    def put_file(
        self,
        local_file: AnyPath | BinaryIO,
        remote_path: str,
        *,
        progress: bool | None = None,
    ) -> None:
        """As ``batch_upload(force=True)`` of one file. With ``progress``, lines on stderr."""
        warn_of("Volume.put_file", "Volume.batch_upload()", BLOCKING)
        with self._batch(progress) as batch:
            batch.put_file(local_file, remote_path)

    @blocking
    def put_directory(
        self,
        local_path: AnyPath,
        remote_path: str,
        *,
        pattern: str | None = None,
        progress: bool | None = None,
    ) -> None:
        """As ``batch_upload(force=True)`` of a directory, or of its files that match ``pattern``.

        Files match as with ``Path.match``: ``*.txt`` matches at any depth.
        """
        warn_of("Volume.put_directory", "Volume.batch_upload()", BLOCKING)
        with self._batch(progress) as batch:
            batch.add_directory(local_path, remote_path, pattern=pattern)

    def _batch(self, progress: bool | None) -> BatchUpload:
        self._check_writable()
        return BatchUpload(self._upload, force=True, report=_show if progress else report_nothing)

    @blocking
    def get_file(self, remote_path: str, local_file: AnyPath | BinaryIO) -> None:
        """Write a file to a local file, into a local directory, or to a file object.

        FileNotFoundError; LocalFileError.
        """
        warn_of("Volume.get_file", "Volume.read_file()", BLOCKING)
        if not isinstance(local_file, str | os.PathLike):
            self.read_file_into_fileobj(remote_path, local_file)
            return
        path = parse_path(remote_path)
        with (
            self._opened() as (store, record),
            path_errors(FileNotFoundError),
            self._reading() as read,
        ):
            get_to_local(store, record, read.snapshot, path, local_file, force=True)


def _show(progress: Progress) -> None:
    done = progress.files == progress.files_total
    print(
        f"{progress.files} of {progress.files_total} files, {progress.bytes} bytes",
        end="\n" if done else "\r",
        file=sys.stderr,
        flush=True,
    )
