"""Changing the committed state of a volume without a mount. Each call makes one version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePosixPath

from volfs.api.batch_upload import BatchUpload
from volfs.api.commits import Commit, to_commit
from volfs.api.reading import path_errors
from volfs.api.twins import blocking, opening
from volfs.errors import InvalidError, NotFoundError
from volfs.model.manifest import MESSAGE_MAX
from volfs.model.names import parse_path
from volfs.model.progress import Report
from volfs.model.text import cut_stored
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.history import get_version
from volfs.volume.local_content import ByteStream
from volfs.volume.local_listing import Local
from volfs.volume.put import put_files
from volfs.volume.restore import restore_version


def _make_target(edit: Edit, path: str) -> None:
    """Make the directory that several sources go into. As in Modal, a name without a suffix means
    a directory."""
    is_named_so = path.endswith("/") or not PurePosixPath(path).suffix
    with path_errors(InvalidError):
        if is_named_so and edit.find(parse_path(path)) is None:
            edit.make_directories(parse_path(path))


class Changeable:
    """A volume whose committed state can be changed. Paths start at the root of the volume, with
    or without a leading slash."""

    def _opened(self) -> AbstractContextManager[tuple[Store, VolumeRecord]]:
        """For a ``with`` block: the store, and the volume as it is now. NotFoundError."""
        raise NotImplementedError

    def _check_writable(self) -> None:
        """Raise InvalidError if the handle may not write."""

    @blocking
    def remove_file(self, path: str, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a directory and everything below it.

        FileNotFoundError; InvalidError for a directory without ``recursive``.
        """
        self._check_writable()
        with self._edited(f"remove {path}") as edit, path_errors(FileNotFoundError):
            edit.remove(parse_path(path), recursive=recursive)

    @blocking
    def copy_files(self, src_paths: Sequence[str], dst_path: str, recursive: bool = False) -> None:
        """Copy within the volume as ``cp`` does. No bytes are copied.

        The copy goes into ``dst_path`` if that is a directory, and otherwise gets that name.
        Several sources go into a directory, which is made if it is missing, unless its name looks
        like that of a file (``a.txt``). NotFoundError; InvalidError for a directory without
        ``recursive``, and for several sources if ``dst_path`` is, or looks like, a file.
        """
        self._check_writable()
        if isinstance(src_paths, str):
            raise InvalidError(f"src_paths must be a list of paths, not {src_paths!r}")
        with self._edited(f"copy {', '.join(src_paths)} to {dst_path}") as edit:
            if len(src_paths) > 1:
                _make_target(edit, dst_path)
            for source in map(parse_path, src_paths):
                with path_errors(NotFoundError):
                    edit.get(source)
                with path_errors(InvalidError):
                    target = edit.choose_target(source, dst_path, several=len(src_paths) > 1)
                    edit.copy(source, target, recursive=recursive)

    @blocking
    def restore(self, version: int | str, *paths: str, message: str = "") -> Commit:
        """Make a new version that equals an old one, or that has these paths from it.

        NotFoundError for a version; FileNotFoundError for a path that the old version lacks.
        """
        self._check_writable()
        wanted = [parse_path(path) for path in paths]
        with self._opened() as (store, record), path_errors(FileNotFoundError):
            old = get_version(store.refs, record, str(version))
            return to_commit(restore_version(store, record, old, wanted, message=message))

    @contextmanager
    def _edited(self, message: str) -> Iterator[Edit]:
        with self._opened() as (store, record), Edit(store, record) as edit:
            yield edit
            edit.commit(CommitNote(cut_stored(message, MESSAGE_MAX)))

    # --- uploads ---------------------------------------------------------

    @opening
    def batch_upload(self, force: bool = False) -> BatchUpload:
        """Collect files in a ``with`` or ``async with`` block. At its end they become one version.

        Without ``force``, FileExistsError, and no version, if one of the files exists. A directory
        is never replaced.
        """
        self._check_writable()
        return BatchUpload(self._upload, force=force)

    def _upload(
        self, files: list[Local], streams: list[ByteStream], force: bool, report: Report
    ) -> None:
        with self._opened() as (store, record):
            put_files(store, record, files, streams, force=force, report=report)
