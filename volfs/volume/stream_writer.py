"""Writing a file's content in the order of its bytes, without knowing its size in advance."""

from __future__ import annotations

from volfs.model.content_building import build_content
from volfs.model.entry import INLINE_MAX, Entry, Extents, set_content
from volfs.model.objects import Buffer
from volfs.volume.content_writer import ContentWriter
from volfs.volume.version_reader import read_range


class StreamWriter:
    """The content of one file on its way into an upload. For one thread.

    Whole windows are stored as they arrive, so at most one window is in memory.
    """

    def __init__(self, writer: ContentWriter, base: Entry, *, append: bool = False) -> None:
        """``base`` gives the attributes. With ``append`` its content stays in front."""
        self._writer = writer
        self._base = base if append else set_content(base, 0)
        self._window_size = 1 << writer.bits
        self._windows: dict[int, Extents] = {}
        self._number = self._base.size >> writer.bits
        """The number of the window that is being filled."""
        self._filling = bytearray(self._read_last_window())

    @property
    def size(self) -> int:
        """The bytes of the file so far."""
        return (self._number << self._writer.bits) + len(self._filling)

    def write(self, data: Buffer) -> None:
        """Append bytes to the content. OutOfSpaceError; StoreError."""
        view = memoryview(data).cast("B")
        while len(view):
            room = self._window_size - len(self._filling)
            self._filling += view[:room]
            view = view[room:]
            if len(self._filling) == self._window_size:
                self._end_window()

    def finish(self) -> Entry:
        """The entry with the content. Nothing can be written afterwards."""
        size = self.size
        if size <= INLINE_MAX:
            return set_content(self._base, size, inline=bytes(self._filling))
        if self._filling:
            self._end_window()
        kept = set_content(self._base, 0) if self._base.inline else self._base
        writer = self._writer
        built = build_content(
            writer.reader.get_list,
            writer.upload.put_object,
            kept,
            size,
            self._windows,
            writer.bits,
        )
        return set_content(self._base, size, **built._asdict())

    def _end_window(self) -> None:
        self._windows[self._number] = (self._writer.put_chunk(bytes(self._filling)),)
        self._number += 1
        self._filling.clear()

    def _read_last_window(self) -> Buffer:
        """The bytes of the base in the window in which it ends."""
        start = self._number << self._writer.bits
        writer = self._writer
        return read_range(writer.reader, writer.objects, self._base, start, self._base.size - start)
