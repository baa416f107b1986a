"""What is known of one directory's names, for how long. Pure.

A directory is listed by pages. Each page says all about the names between the end of the page
before it and its own end, as of the moment when it was asked for. So the first million names
of a directory need not be kept, and one name that is too old costs one page, not all of them.
What this mount has changed itself is true at once, also over pages that were asked for before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from volfs.bucketfs.inode_numbers import NameOrder
from volfs.bucketfs.names import Facts, PageNames

PAGES = 64
"""The most pages that are kept of one directory."""
POINTS = 4096
"""The most names of one directory that are kept after single lookups."""


class Known(NamedTuple):
    """The answer about a name. ``facts`` is None if nothing has the name."""

    facts: Facts | None
    as_of: float
    """When the bucket was asked, by a clock that never goes back."""


class PageToken(NamedTuple):
    """What a page is asked for with, and when the bucket gave it.

    A service may mean by the token the key that came next at that moment. So the token says
    nothing of keys that were made before that key since.
    """

    text: str | None
    as_of: float


FIRST = PageToken(None, inf)


@dataclass(slots=True)
class ListedPage:
    """One page. Its parts lie after ``start``, and up to ``end`` unless it is the last page."""

    start: bytes
    end: bytes | None
    as_of: float
    names: dict[bytes, Facts]
    doubtful: frozenset[bytes]
    """Files for which a later page may show a directory of the same name."""
    next: str | None
    token: PageToken
    """The token that the page was asked for with."""
    first: bytes | None
    """The first part of the page; None if it has none."""

    def covers(self, part: bytes) -> bool:
        return self.start < part and (self.end is None or part <= self.end)

    def find(self, name: bytes) -> Facts | None:
        return self.names.get(name)

    def get_time(self, part: bytes) -> float:
        """The moment for which the page says what is true of a part."""
        is_listed = self.first is not None and part >= self.first
        return self.as_of if is_listed else min(self.as_of, self.token.as_of)


@dataclass(slots=True)
class NamedChange:
    """What this mount has done to a name, as if the bucket had been asked at ``as_of``."""

    facts: Facts | None
    as_of: float


@dataclass(slots=True)
class Listing:
    """What is known of one directory."""

    pages: dict[bytes, ListedPage] = field(default_factory=dict)
    """The pages by their starts."""
    starts: list[bytes] = field(default_factory=lambda: [b""])
    """Where pages begin, sorted."""
    tokens: dict[bytes, PageToken] = field(default_factory=lambda: {b"": FIRST})
    """The token with which to ask for the page that begins there."""
    points: dict[bytes, Known] = field(default_factory=dict)
    """The answers about single names, the oldest first."""
    changes: dict[bytes, NamedChange] = field(default_factory=dict)
    order: NameOrder = field(default_factory=NameOrder)
    """What the order of inode numbers follows."""
    asking: int = 0
    """The requests about this directory that are on their way."""

    # --- looking ---------------------------------------------------------

    def find(self, name: bytes, since: float) -> Known | None:
        """What is known of a name, from a request at ``since`` or later; None if nothing is."""
        change, point = self.changes.get(name), self.points.get(name)
        known = [Known(change.facts, change.as_of)] if change else []
        known += [point] if point else []
        paged = self._find_in_pages(name)
        known += [paged] if paged else []
        newest = max(known, key=lambda one: one.as_of, default=None)
        return newest if newest is not None and newest.as_of >= since else None

    def _find_in_pages(self, name: bytes) -> Known | None:
        """A name is a directory if its part with ``/`` is on a page, else a file if its part is,
        else nothing."""
        part = name + b"/"
        inner = self._find_page(part)
        if inner is not None and (found := inner.find(name)) and found.is_directory:
            return Known(found, inner.as_of)
        outer = self._find_page(name)
        if outer is None:
            return None
        found = outer.find(name)
        if inner is None:
            return None  # A later page may show a directory of that name.
        time = outer.as_of if found is not None else outer.get_time(name)
        return Known(found, min(inner.get_time(part), time))

    def _find_page(self, part: bytes) -> ListedPage | None:
        page = self.pages.get(self._find_start(part))
        return page if page is not None and page.covers(part) else None

    def _find_start(self, part: bytes) -> bytes:
        """The start of the page that has a part, if pages begin where they began."""
        return self.starts[max(0, bisect_left(self.starts, part) - 1)]

    def choose_page(self, name: bytes, since: float) -> bytes | None:
        """The start of the page to ask for about a name; None to ask about the name alone.

        The last name of a page may be a directory on the page behind it. A page that is young
        enough and does not tell is not asked for again.
        """
        start = self._find_start(name)
        page = self.pages.get(start)
        if page is None or page.as_of < since:
            return start
        behind = self._find_start(name + b"/")
        if behind != page.end:
            return None
        following = self.pages.get(behind)
        return behind if following is None or following.as_of < since else None

    def has_besides(self, name: bytes) -> bool:
        """Whether the directory has another name, or had one when its pages were asked for."""
        return any(other != name for page in self.pages.values() for other in page.names) or any(
            other != name and change.facts is not None for other, change in self.changes.items()
        )

    # --- learning --------------------------------------------------------

    def add_page(
        self, start: bytes, token: PageToken, found: PageNames, next: str | None, as_of: float
    ) -> ListedPage:
        """Keep a page that was asked for at ``as_of``, with this mount's own changes since."""
        end = None if next is None else found.end
        doubtful = frozenset(found.doubtful)
        page = ListedPage(start, end, as_of, found.names, doubtful, next, token, found.first)
        for name, change in self.changes.items():
            if change.as_of >= as_of:
                _put(page, name, change.facts)
        self.pages[start] = page
        self._mark(start, page)
        if end is not None:
            self.order.cut(start, end)
        while len(self.pages) > PAGES:
            del self.pages[min(self.pages, key=lambda one: self.pages[one].as_of)]
        return page

    def _mark(self, start: bytes, page: ListedPage) -> None:
        """Note where the next page begins. Starts between the two are dropped."""
        first = bisect_right(self.starts, start)
        last = len(self.starts) if page.end is None else bisect_right(self.starts, page.end)
        for gone in self.starts[first:last]:
            self.pages.pop(gone, None)
            del self.tokens[gone]
        self.starts[first:last] = [] if page.end is None else [page.end]
        if page.end is not None:
            self.tokens[page.end] = PageToken(page.next, page.as_of)

    def add_point(self, name: bytes, facts: Facts | None, as_of: float) -> None:
        """Keep the answer about one name."""
        change = self.changes.get(name)
        if change is not None and change.as_of >= as_of:
            return
        self.points.pop(name, None)
        self.points[name] = Known(facts, as_of)
        while len(self.points) > POINTS:
            del self.points[next(iter(self.points))]

    def note(self, name: bytes, facts: Facts | None, now: float) -> None:
        """Note that this mount has changed a name: the bucket has it so at this moment."""
        self.points.pop(name, None)
        for page in self.pages.values():
            _put(page, name, facts)
        self.changes[name] = NamedChange(facts, now)

    def doubt(self, name: bytes) -> None:
        """Note that an answer about a name was seen to be wrong, so that the name is asked about
        alone."""
        self.points.pop(name, None)
        self.changes.pop(name, None)
        for page in self.pages.values():
            if page.covers(name) or page.covers(name + b"/"):
                page.as_of = -inf

    def settle(self, since: float) -> None:
        """Drop changes that are too old, if every request on its way is younger."""
        if not self.asking:
            gone = [name for name, change in self.changes.items() if change.as_of < since]
            for name in gone:
                del self.changes[name]

    def forget_all(self) -> None:
        """Forget everything, because the directory has other keys now."""
        self.pages.clear()
        self.points.clear()
        self.changes.clear()
        self.starts = [b""]
        self.tokens = {b"": FIRST}


def _put(page: ListedPage, name: bytes, facts: Facts | None) -> None:
    part = name + b"/" * (facts is not None and facts.is_directory)
    page.names.pop(name, None)
    if facts is not None and page.covers(part):
        page.names[name] = facts
