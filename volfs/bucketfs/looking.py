"""Asking the bucket about names, with one request for all who want to know the same."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import trio

from volfs.bucketfs.listing import Known, ListedPage, PageToken
from volfs.bucketfs.names import DIRECTORY, Facts, find_name, to_facts
from volfs.bucketfs.nodes import DirectoryNode
from volfs.bucketfs.paging import PageRequests
from volfs.bucketfs.state import BucketState
from volfs.buckets.access import Bucket
from volfs.errors import ObjectNotFoundError, StoreError, VolfsError

T = TypeVar("T")
THREADS = 64


class Asker:
    """Runs calls of the bucket in threads, which must not touch the mount's state."""

    def __init__(self, threads: int = THREADS) -> None:
        self.limiter = trio.CapacityLimiter(threads)
        self.waiting = 0
        """How many answers the trio thread itself waits for."""

    @property
    def is_busy(self) -> bool:
        """Whether anything is asked of the bucket."""
        return self.waiting > 0 or self.limiter.borrowed_tokens > 0

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Run a call in a thread. If cancelled, leave the thread behind: a silent bucket must not
        delay an end."""
        return await trio.to_thread.run_sync(
            call, *arguments, limiter=self.limiter, abandon_on_cancel=True
        )


class _Flight:
    """A request on its way, which others who want the same wait for."""

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.error: VolfsError | None = None


class Looking:
    """What is known of names, and the requests that find it out."""

    def __init__(self, state: BucketState, bucket: Bucket, asker: Asker) -> None:
        self.state = state
        self.bucket = bucket
        self.asker = asker
        self.pages = PageRequests(bucket, asker.limiter, state.clock)
        state.on_change.append(self.pages.forget)
        self._flights: dict[Hashable, _Flight] = {}

    async def find(self, directory: DirectoryNode, name: bytes) -> Known:
        """What the bucket says of a name, no older than the mount's rules allow."""
        since = self.state.since()
        part = name.decode("utf-8", "surrogateescape")
        if find_name(part) is None or self.bucket.find_flaw(directory.key + part):
            return Known(None, self.state.clock())  # No key can have such a name.
        while True:
            known = directory.listing.find(name, since)
            if known is not None:
                return known
            start = directory.listing.choose_page(name, since)
            if start is None:
                await self._share((directory, "point", name), lambda: self._ask(directory, name))
            else:
                await self.get_page(directory, start, directory.listing.tokens[start], since)

    async def get_page(
        self,
        directory: DirectoryNode,
        start: bytes,
        token: PageToken,
        since: float,
        *,
        chained: bool = False,
    ) -> ListedPage:
        """The page of a directory that begins there, no older than ``since``. With ``chained`` the
        next page is asked for ahead."""
        while True:
            page = directory.listing.pages.get(start)
            if page is not None and page.as_of >= since and page.token == token:
                if chained:
                    self._begin_next(directory, page)
                return page
            await self._share(
                (directory, "page", start, token),
                lambda: self._list(directory, start, token, since, chained),
            )

    def _begin_next(self, directory: DirectoryNode, page: ListedPage) -> None:
        """Ask for the page behind another one, unless it is known."""
        if page.end is None:
            return
        there = directory.listing.pages.get(page.end)
        if there is None or there.token.text != page.next or there.as_of < self.state.since():
            self.pages.begin(directory.key, page.next)

    async def is_empty(self, directory: DirectoryNode) -> bool:
        """Whether the bucket has nothing in a directory at this moment, except its marker."""
        return await self.asker.run(_is_empty, self.bucket, directory.key)

    # --- requests --------------------------------------------------------

    async def _list(
        self, directory: DirectoryNode, start: bytes, token: PageToken, since: float, chained: bool
    ) -> None:
        """Ask for a page with at least one entry, unless it was asked for ahead."""
        listing, text, key = directory.listing, token.text, directory.key
        listing.asking += 1
        try:
            while True:
                (names, after), asked = await self.pages.take(key, text, since, chained=chained)
                if directory.key != key:  # It was renamed meanwhile.
                    key, text = directory.key, token.text
                elif after is None or names.end > start:
                    break
                elif names.names:
                    raise StoreError(f"{key}: the service lists keys out of order: {names.end!r}")
                else:  # The page has nothing, or the marker alone.
                    text = after
        finally:
            listing.asking -= 1
        listing.add_page(start, token, names, after, asked)
        self.state.note_hidden(names.hidden)

    async def _ask(self, directory: DirectoryNode, name: bytes) -> None:
        (facts, hidden), asked = await self._ask_about(
            directory, lambda key: _load_point(self.bucket, key, name)
        )
        directory.listing.add_point(name, facts, asked)
        self.state.note_hidden(hidden)

    async def _ask_about(
        self, directory: DirectoryNode, ask: Callable[[str], T]
    ) -> tuple[T, float]:
        """The answer, and when it was asked for. If the directory was renamed meanwhile, ask once
        more."""
        listing = directory.listing
        while True:
            key, asked = directory.key, self.state.clock()
            listing.asking += 1
            try:
                found = await self.asker.run(ask, key)
            finally:
                listing.asking -= 1
            if directory.key == key:
                return found, asked

    async def _share(self, what: Hashable, ask: Callable[[], Awaitable[None]]) -> None:
        flight = self._flights.get(what)
        if flight is not None:
            await flight.landed.wait()
            if flight.error is not None:
                raise copy.copy(flight.error) from flight.error
            return
        flight = self._flights[what] = _Flight()
        try:
            await ask()
        except VolfsError as error:
            flight.error = error
            raise
        finally:
            del self._flights[what]
            flight.landed.set()


# --- in threads ---------------------------------------------------------------


def _load_point(bucket: Bucket, prefix: str, name: bytes) -> tuple[Facts | None, list[str]]:
    """Load what one name is, and what it hides."""
    key = prefix + name.decode()
    try:
        file = to_facts(bucket.head(key))
    except ObjectNotFoundError:
        file = None
    if not _has_any(bucket, f"{key}/"):
        return file, []
    return DIRECTORY, [key] if file is not None else []


def _has_any(bucket: Bucket, prefix: str) -> bool:
    page = bucket.list_page(prefix, limit=1)
    return bool(page.objects or page.prefixes)


def _is_empty(bucket: Bucket, prefix: str) -> bool:
    page = bucket.list_page(prefix, limit=2)
    return not page.prefixes and all(info.key == prefix for info in page.objects)
