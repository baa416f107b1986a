"""Walks through many directories: one request lists several of them.

``find`` and ``du`` list one directory after the other, in the order of the keys. Once three
directories of one parent were listed in order, the parent's keys behind the third are listed
without regard to directories, a thousand with one request. That answer tells about each directory
that lies whole in it, at any depth, for as long as any answer is believed. When half of these
directories were read, the request for the next thousand keys is sent.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import trio

from volfs.bucketfs.listing import FIRST
from volfs.bucketfs.looking import Looking
from volfs.bucketfs.names import PageNames, is_touched, read_page
from volfs.bucketfs.nodes import DirectoryNode
from volfs.bucketfs.paging import PAGE
from volfs.bucketfs.state import BucketState
from volfs.buckets.access import Bucket
from volfs.buckets.objects import Page
from volfs.errors import VolfsError
from volfs.model.text import describe_error

log = logging.getLogger(__name__)

IN_ORDER = 3
WASTED = -7
"""What the count of a parent begins with after a request that told about no directory."""
TOLD = 10_000
"""The most directories that are kept until somebody reads them."""
PARENTS = 1000
"""The most parents whose directories are counted."""


class ReadInOrder(NamedTuple):
    """How many directories of one parent were listed in order, and the last one's key."""

    size: int
    last: str


class Told(NamedTuple):
    """A directory that a walk's answer tells about whole."""

    names: PageNames
    as_of: float
    answer: WalkAnswer


class WalkAnswer:
    """One answer. ``left`` counts its directories that nobody has read yet."""

    def __init__(self, parent: str, size: int, following: str | None) -> None:
        self.parent = parent
        self.half = size // 2
        self.left = size
        self.following = following
        """Where the next request of the walk begins; None at its end."""


class Walks:
    """What requests for walks have told, and nobody has read yet."""

    def __init__(self, state: BucketState, looking: Looking) -> None:
        self._state = state
        self._looking = looking
        self._in_order: dict[str, ReadInOrder] = {}
        self._told: dict[str, Told] = {}
        self._flying: dict[str, trio.Event] = {}
        """The requests on their way, by parents."""
        self._spoiled: list[tuple[str, str]] = []
        """What this mount has changed while requests are on their way."""
        self._works = state.rules.metadata_ttl > 0
        state.on_change.append(self._spoil)

    @property
    def told(self) -> int:
        """How many directories are told about that nobody has read yet."""
        return len(self._told)

    async def prepare(self, directory: DirectoryNode, since: float) -> None:
        """Have the names of a directory that is about to be read, if it is part of a walk."""
        if directory.parent is None or not self._works:
            return
        key, parent = directory.key, directory.parent.key
        self._count(parent, key)
        page = directory.listing.pages.get(b"")
        if (page is not None and page.as_of >= since) or self._take(directory, since):
            return
        if parent in self._flying:
            await self._flying[parent].wait()
            if self._take(directory, since):
                return
        if self._in_order[parent].size >= IN_ORDER and parent not in self._flying:
            landed = self._flying[parent] = trio.Event()
            await self._ask(parent, key, landed)
            self._take(directory, since)

    def _count(self, parent: str, key: str) -> None:
        read = self._in_order.pop(parent, None)
        if read is None or key < read.last:
            read = ReadInOrder(1, key)
        elif key > read.last:
            read = ReadInOrder(read.size + 1, key)
        self._in_order[parent] = read
        if len(self._in_order) > PARENTS:
            del self._in_order[next(iter(self._in_order))]

    def _take(self, directory: DirectoryNode, since: float) -> bool:
        """Give a directory what is told of it. Whether that is young enough."""
        told = self._told.pop(directory.key, None)
        if told is None:
            return False
        answer = told.answer
        answer.left -= 1
        if told.as_of < since:  # The reader is too slow for this.
            self._in_order[answer.parent] = ReadInOrder(WASTED, directory.key)
            return False
        directory.listing.add_page(b"", FIRST, told.names, None, told.as_of)
        self._state.note_hidden(told.names.hidden)
        if answer.following is not None and answer.left <= answer.half:
            following, answer.following = answer.following, None
            if answer.parent not in self._flying:
                landed = self._flying[answer.parent] = trio.Event()
                trio.lowlevel.spawn_system_task(self._ask, answer.parent, following, landed)
        return True

    # --- requests --------------------------------------------------------

    async def _ask(self, parent: str, after: str, landed: trio.Event) -> None:
        """Ask for the keys of a parent behind another key. Raises nothing: a directory that is not
        told about is listed by itself."""
        asked = self._state.clock()
        try:
            page, found = await self._looking.asker.run(_load, self._looking.bucket, parent, after)
            self._learn(parent, after, page, found, asked)
        except VolfsError as error:
            log.info("listing ahead: %s", describe_error(error))
        except Exception:
            log.exception("listing ahead failed")
        finally:
            self._flying.pop(parent, None)
            landed.set()
            if not self._flying:
                self._spoiled.clear()

    def _learn(
        self, parent: str, after: str, page: Page, found: dict[str, PageNames], asked: float
    ) -> None:
        if page.objects and page.objects[0].key <= after:
            self._works = False  # The service does not begin where it is told to.
            return
        self._drop_old()
        following = None
        if page.next is not None and page.objects:
            following = find_following(parent, page.objects[-1].key)
            following = None if following == after else following
        answer = WalkAnswer(parent, len(found), following)
        for key, names in found.items():
            if not any(is_touched(key, *change) for change in self._spoiled):
                self._told[key] = Told(names, asked, answer)
        if not found:
            self._in_order[parent] = ReadInOrder(WASTED, after)

    def _drop_old(self) -> None:
        since = self._state.since()
        while len(self._told) > TOLD:
            del self._told[next(iter(self._told))]
        for key in [key for key, told in self._told.items() if told.as_of < since]:
            del self._told[key]

    def _spoil(self, directory: str, name: str) -> None:
        """Forget what is told of a directory that this mount changes, and of all below the name."""
        if self._flying:
            self._spoiled.append((directory, name))
        for key in [key for key in self._told if is_touched(key, directory, name)]:
            del self._told[key]


def find_following(parent: str, last: str) -> str:
    """Where a walk goes on behind a page: before the directory of the parent in which it ends."""
    head, slash, _ = last[len(parent) :].partition("/")
    return parent + head + slash


def split_page(parent: str, after: str, page: Page) -> dict[str, Page]:
    """The directories below a parent that lie whole in a page of all its keys behind ``after``."""
    found: dict[str, Page] = {parent: Page([], [], None)}
    for info in page.objects:
        directory = info.key[: info.key.rfind("/") + 1]
        below = directory
        while below not in found:
            found[below] = Page([], [], None)
            below = below[: below.rfind("/", 0, -1) + 1]
        found[directory].objects.append(info)
    for key in sorted(found):
        if key != parent:
            found[key[: key.rfind("/", 0, -1) + 1]].prefixes.append(key)
    last = page.objects[-1].key if page.next is not None and page.objects else ""
    return {
        key: names
        for key, names in found.items()
        if key != parent and not last.startswith(key)
        if key == after or not after.startswith(key)
    }


def _load(bucket: Bucket, parent: str, after: str) -> tuple[Page, dict[str, PageNames]]:
    page = bucket.list_page(parent, delimiter=False, begin=after, limit=PAGE)
    directories = split_page(parent, after, page)
    return page, {key: read_page(key, names) for key, names in directories.items()}
