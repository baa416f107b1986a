"""Directories as they are read: page by page, so that a million names take no room."""

from __future__ import annotations

from typing import NamedTuple

from volfs.bucketfs.listing import ListedPage
from volfs.bucketfs.looking import Looking
from volfs.bucketfs.names import Facts
from volfs.bucketfs.nodes import AnyNode, DirectoryNode
from volfs.bucketfs.state import BucketState
from volfs.errors import StaleHandleError

FIRST = 2
"""Entries before those of the bucket: the directory itself, and the one above."""


class Window(NamedTuple):
    """The entries of one page; ``first`` is the number of the first one in the listing."""

    first: int
    start: bytes
    token: str | None
    as_of: float
    entries: list[tuple[bytes, Facts | None]]
    end: bytes | None
    next: str | None

    @property
    def after(self) -> int:
        return self.first + len(self.entries)


class Listed(NamedTuple):
    """One entry of a listing, and since when it is believed to be so."""

    name: bytes
    node: AnyNode
    as_of: float


class DirectoryHandle:
    """An open directory: where its pages began, and the one that is being read."""

    def __init__(self, node: DirectoryNode) -> None:
        self.node = node
        self.windows: list[tuple[int, bytes, str | None]] = [(FIRST, b"", None)]
        self.window: Window | None = None


class Directories:
    """Opening and reading them."""

    def __init__(self, state: BucketState, looking: Looking) -> None:
        self.state = state
        self.looking = looking
        self._handles: dict[int, DirectoryHandle] = {}
        self._last = 0

    def open(self, ino: int) -> int:
        node = self.state.get_directory(ino)
        node.opens += 1
        self._last += 1
        self._handles[self._last] = DirectoryHandle(node)
        return self._last

    def handle(self, number: int) -> DirectoryHandle:
        if number not in self._handles:
            raise StaleHandleError(f"directory handle {number}")
        return self._handles[number]

    def release(self, number: int) -> None:
        """Raises nothing."""
        handle = self._handles.pop(number, None)
        if handle is not None:
            handle.node.opens -= 1
            self.state.nodes.drop_if_idle(handle.node)

    def rewind(self, number: int) -> None:
        """Begin a new listing."""
        handle = self.handle(number)
        handle.windows, handle.window = [(FIRST, b"", None)], None

    def get_after(self, number: int) -> int:
        """The number of the first entry behind the page that is being read."""
        window = self.handle(number).window
        return FIRST if window is None else window.after

    async def get_window(self, number: int, at: int) -> Window | None:
        """The page that has entry ``at``, of ``FIRST`` and more; None behind the last one."""
        handle = self.handle(number)
        window = handle.window
        if window is None or at < window.first:
            first, start, token = self._find_start(handle, at)
            window = await self._load(handle, first, start, token)
        while at >= window.after:
            if window.end is None:
                return None
            if handle.windows[-1][0] < window.after:
                handle.windows.append((window.after, window.end, window.next))
            window = await self._load(handle, window.after, window.end, window.next)
        return window

    def _find_start(self, handle: DirectoryHandle, at: int) -> tuple[int, bytes, str | None]:
        """Where to begin again, for who goes back in a listing."""
        return next(one for one in reversed(handle.windows) if one[0] <= at)

    async def _load(
        self, handle: DirectoryHandle, first: int, start: bytes, token: str | None
    ) -> Window:
        node, since = handle.node, self.state.since()
        page = await self.looking.get_page(node, start, token, since)
        handle.window = Window(
            first, start, token, page.as_of, _merge(node, page), page.end, page.next
        )
        return handle.window

    def bind(self, number: int, window: Window, at: int) -> Listed | None:
        """An entry of a window with its inode; None if it was removed since."""
        name, facts = window.entries[at - window.first]
        directory = self.handle(number).node
        change = directory.listing.changes.get(name)
        if change is not None and change.as_of > window.as_of:
            facts = change.facts
        if facts is None and name not in directory.pending:
            return None
        node = self.state.bind(directory, name, facts)
        return None if node is None else Listed(name, node, window.as_of)


def _merge(node: DirectoryNode, page: ListedPage) -> list[tuple[bytes, Facts | None]]:
    """The names of a page in their order, with those that the bucket has not got yet."""
    names: dict[bytes, Facts | None] = {
        name: None for name in node.pending if page.covers(name) and name in node.children
    }
    names |= page.names
    return sorted(names.items(), key=lambda one: one[0] + b"/" * _is_directory(one[1]))


def _is_directory(facts: Facts | None) -> bool:
    return facts is not None and facts.is_directory
