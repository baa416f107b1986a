"""Directories are read page by page, so that a million names take no room."""

from __future__ import annotations

from bisect import insort
from math import inf
from typing import NamedTuple

from volfs.bucketfs.listing import FIRST as FIRST_PAGE
from volfs.bucketfs.listing import ListedPage, PageToken
from volfs.bucketfs.looking import Looking
from volfs.bucketfs.names import Facts, sort_names
from volfs.bucketfs.nodes import AnyNode, DirectoryNode
from volfs.bucketfs.state import BucketState
from volfs.bucketfs.walks import Walks
from volfs.errors import StaleHandleError

QUICK = 0.5
"""A reader that takes less than this part of ``metadata_ttl`` for a page has the next page asked
for in advance."""
FIRST = 2
"""The entries before those of the bucket: the directory itself, and the one above it."""


class ListedName(NamedTuple):
    """A name, and what the bucket said of it at some moment; None if the bucket does not have it
    yet."""

    name: bytes
    facts: Facts | None
    as_of: float


Names = tuple[ListedName, ...]


class PageStart(NamedTuple):
    """Where a page begins: the number of its first entry, and the token to ask with.

    ``carried`` are files of earlier pages for which a later page may show a directory of the same
    name: in a bucket ``a-b`` comes before ``a/``.
    """

    first: int
    start: bytes
    token: PageToken
    carried: Names = ()


class Window(NamedTuple):
    """The entries of one page, and where the next one begins."""

    mark: PageStart
    entries: list[ListedName]
    next: PageStart | None

    @property
    def first(self) -> int:
        return self.mark.first

    @property
    def after(self) -> int:
        return self.mark.first + len(self.entries)


class DirectoryHandle:
    """An open directory: where its pages began, and the page that is being read."""

    def __init__(self, node: DirectoryNode) -> None:
        self.node = node
        self.marks = [PageStart(FIRST, b"", FIRST_PAGE)]
        self.window: Window | None = None
        self.loaded = -inf
        """When the window was loaded."""


class Directories:
    """Opening and reading directories."""

    def __init__(self, state: BucketState, looking: Looking) -> None:
        self.state = state
        self.looking = looking
        self.walks = Walks(state, looking)
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
        """Close the directory. Raises nothing."""
        handle = self._handles.pop(number, None)
        if handle is not None:
            handle.node.opens -= 1
            self.state.nodes.drop_if_idle(handle.node)

    def rewind(self, number: int) -> None:
        """Begin a new listing."""
        handle = self.handle(number)
        handle.marks, handle.window = [PageStart(FIRST, b"", FIRST_PAGE)], None

    def get_after(self, number: int) -> int:
        """The number of the first entry behind the page that is being read."""
        window = self.handle(number).window
        return FIRST if window is None else window.after

    async def get_window(self, number: int, at: int) -> Window | None:
        """The page that has entry ``at``, which is at least ``FIRST``; None behind the last
        page."""
        handle = self.handle(number)
        window = handle.window
        if window is None or at < window.first:
            mark = next(mark for mark in reversed(handle.marks) if mark.first <= at)
            window = await self._load(handle, mark)
        while at >= window.after:
            if window.next is None:
                return None
            if handle.marks[-1].first < window.after:
                handle.marks.append(window.next)
            window = await self._load(handle, window.next)
        return window

    async def _load(self, handle: DirectoryHandle, mark: PageStart) -> Window:
        node, since = handle.node, self.state.since()
        if mark.token is FIRST_PAGE:
            await self.walks.prepare(node, since)
        page = await self.looking.get_page(
            node, mark.start, mark.token, since, chained=self._is_quick(handle, mark)
        )
        carried, hidden = _carry(mark.carried, page)
        self.state.note_hidden([node.key + name.decode() for name in hidden])
        entries = _merge(node, page, mark.carried)
        following = None
        if page.end is not None:
            after = mark.first + len(entries)
            following = PageStart(after, page.end, PageToken(page.next, page.as_of), carried)
        handle.window, handle.loaded = Window(mark, entries, following), self.state.clock()
        return handle.window

    def _is_quick(self, handle: DirectoryHandle, mark: PageStart) -> bool:
        """Whether the reader will probably want the page behind this one while that is still
        believed."""
        ttl = self.state.rules.metadata_ttl
        return ttl > 0 and (mark.first == FIRST or self.state.clock() - handle.loaded < ttl * QUICK)

    def bind(self, directory: DirectoryNode, listed: ListedName) -> AnyNode | None:
        """The inode of an entry of a window; None if the name was removed since."""
        name, facts, as_of = listed
        change = directory.listing.changes.get(name)
        if change is not None and change.as_of > as_of:
            facts = change.facts
        if facts is None and name not in directory.pending:
            return None
        return self.state.bind(directory, name, facts)


def _carry(
    carried: tuple[ListedName, ...], page: ListedPage
) -> tuple[tuple[ListedName, ...], list[bytes]]:
    """The files that are still in doubt behind a page, and the files that it shows to be
    directories."""
    still = [one for one in carried if not page.covers(one.name + b"/")]
    new = [
        ListedName(n, page.names[n], page.as_of) for n in sorted(page.doubtful & page.names.keys())
    ]
    return (*still, *new), [one.name for one in carried if one.name in page.names]


def _merge(
    node: DirectoryNode, page: ListedPage, carried: tuple[ListedName, ...]
) -> list[ListedName]:
    """The names of a page in their order, with names that the bucket does not have yet, with names
    that this page frees from doubt, and without names that are in doubt."""
    as_of, hidden = page.as_of, page.doubtful
    entries = [
        ListedName(name, facts, as_of)
        for name, facts in sort_names(page.names).items()
        if name not in hidden
    ]
    more = [
        ListedName(name, None, as_of)
        for name in node.pending
        if page.covers(name) and name in node.children
    ]
    more += [one for one in carried if page.covers(one.name + b"/")]
    for one in more:
        if one.name in hidden or one.name not in page.names:
            insort(entries, one, key=_get_part)
    return entries


def _get_part(one: ListedName) -> bytes:
    return one.name + b"/" if _is_directory(one.facts) else one.name


def _is_directory(facts: Facts | None) -> bool:
    return facts is not None and facts.is_directory
