"""Open files of a volume, as fsspec wants them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from volfs.api.filesystem.following import follow_links
from volfs.api.filesystem.volume_access import OpenVersion, file_errors
from volfs.api.filesystem.volume_urls import VolumePlace
from volfs.errors import EntryExistsError, IsADirectoryInVolumeError, NotSupportedError
from volfs.model.entry import Entry, FileKind, replace
from volfs.model.names import show_path
from volfs.store.clock import now_ns
from volfs.volume.content_writer import ContentStream
from volfs.volume.edit import Edit

if TYPE_CHECKING:
    from volfs.api.filesystem.volume_filesystem import VolumeFileSystem

READ_BLOCK = 1 << 20
FILE_MODE = 0o644


class ReadFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of one version, whatever is committed while it is open."""

    def __init__(
        self,
        fs: VolumeFileSystem,
        path: str,
        place: VolumePlace,
        tree: AbstractContextManager[OpenVersion],
        **options: Any,
    ) -> None:
        with ExitStack() as closing:
            self._tree = closing.enter_context(tree)
            with file_errors():
                self._entry = _get_file(self._tree.get(place.path), place)
            options |= {"size": self._entry.size, "block_size": options["block_size"] or READ_BLOCK}
            super().__init__(fs, path, "rb", **options)
            self._closing = closing.pop_all()

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self._tree.read(self._entry, start, min(end, self._entry.size)))

    def close(self) -> None:
        """Close the file, and let its version go."""
        super().close()
        self._closing.close()


class WrittenFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is being written. Its content is stored while it is written. The file gets its
    name when it is closed.

    ``editing`` lends the edit that gets the file. ``publish`` is called after that.
    """

    def __init__(
        self,
        fs: VolumeFileSystem,
        path: str,
        place: VolumePlace,
        mode: str,
        editing: Callable[[], AbstractContextManager[Edit]],
        publish: Callable[[bool], None],
        **options: Any,
    ) -> None:
        self._place = place
        self._editing = editing
        self._publish = publish
        self._ended = False
        self._exclusive = mode == "xb"
        with file_errors(), editing() as edit:
            self._path = follow_links(edit.find, place.path)
            self._stream = self._open_stream(edit, append=mode == "ab")
            options["block_size"] = max(options["block_size"] or 0, 1 << edit.writer.bits)
        super().__init__(fs, path, mode, **options)
        self.loc = self._stream.size

    def _open_stream(self, edit: Edit, *, append: bool) -> ContentStream:
        old = edit.find(self._path)
        if old is None:
            return ContentStream(edit.writer, make_file_entry())
        if self._exclusive:
            raise EntryExistsError(f"{show_path(self._path)}: already exists")
        _get_file(old, self._place)
        now = now_ns()
        base = replace(old, group=0, links=1, mtime_ns=now, ctime_ns=now)
        return ContentStream(edit.writer, base, append=append)

    def _upload_chunk(self, final: bool = False) -> bool:
        self._stream.write(self.buffer.getbuffer())
        if final:
            self._finish()
        return True

    def _finish(self) -> None:
        """Give the file its name. Raises what keeps it from one, and then nothing is published."""
        self._ended = True
        try:
            with file_errors(), self._editing() as edit:
                edit.profile.check_file_size(self._stream.size)
                edit.put(self._path, self._stream.finish(), overwrite=not self._exclusive)
        except BaseException:
            self._publish(False)
            raise
        self._publish(True)

    def commit(self) -> None:
        """Close the file, if the program has not done so before the transaction ends."""
        self.close()

    def discard(self) -> None:
        """Forget what was written."""
        self.forced = self.closed = True
        if not self._ended:
            self._ended = True
            self._publish(False)

    def close(self) -> None:
        """Publish the file, unless it is part of a transaction. FileExistsError; StoreError."""
        if sys.is_finalizing():
            self.discard()  # The program has ended without closing the file, and the store is shut.
        super().close()


def make_file_entry() -> Entry:
    """The entry of a new, empty file of the calling user."""
    now = now_ns()
    return Entry(
        b"new", FileKind.FILE, FILE_MODE, os.getuid(), os.getgid(), mtime_ns=now, ctime_ns=now
    )


def _get_file(entry: Entry, place: VolumePlace) -> Entry:
    if entry.is_directory:
        raise IsADirectoryInVolumeError(f"{show_path(place.path)}: is a directory")
    if entry.kind != FileKind.FILE:
        raise NotSupportedError(f"{show_path(place.path)}: not a file; it has no content")
    return entry
