"""Requests for pages of listings, some of them ahead of the reader.

The token of a page is in the answer to the request before. A reader that is quick has the next page
asked for as soon as that token is known, while the entries of the answer are still being read. So
the service is never waiting for us. One page is asked for ahead, not more: a reader may stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import outcome
import trio

from volfs.bucketfs.names import PageNames, is_touched, read_page
from volfs.buckets.access import Bucket

PAGE = 1000
"""The most names that one request asks for."""
KEPT = 64
"""The most pages that were asked for ahead and are kept until somebody wants them."""


class PageAnswer(NamedTuple):
    names: PageNames
    next: str | None


class PageRequest:
    """One request. ``asked`` is a moment before which it was not sent."""

    def __init__(self, prefix: str, token: str | None, asked: float) -> None:
        self.prefix = prefix
        self.token = token
        self.asked = asked
        self.landed = trio.Event()
        self.answer: outcome.Outcome[PageAnswer] | None = None
        self.is_chained = False
        """Whether the next page is to be asked for as soon as its token is known."""
        self.following: str | None = None
        """The token of the next page, once it is known."""


class PageRequests:
    """The requests of one mount. The trio thread begins and takes them; other threads answer."""

    def __init__(
        self, bucket: Bucket, limiter: trio.CapacityLimiter, clock: Callable[[], float]
    ) -> None:
        """Any thread calls ``clock``."""
        self._bucket = bucket
        self._clock = clock
        self._limiter = limiter
        self._trio: trio.lowlevel.TrioToken | None = None
        self._lock = threading.Lock()
        self._ahead: dict[tuple[str, str | None], PageRequest] = {}

    async def take(
        self, prefix: str, token: str | None, since: float, *, chained: bool
    ) -> tuple[PageAnswer, float]:
        """The page, and when it was asked for. With ``chained`` the next page comes ahead."""
        self._trio = trio.lowlevel.current_trio_token()
        with self._lock:
            request = self._ahead.pop((prefix, token), None)
        async with self._limiter:
            if request is None or request.asked < since:
                request = self._send(PageRequest(prefix, token, self._clock()))
            if chained:
                self._chain(request)
            await request.landed.wait()
        assert request.answer is not None
        return request.answer.unwrap(), request.asked

    def begin(self, prefix: str, token: str | None) -> None:
        """Ask for a page that somebody is about to take, unless that was done."""
        with self._lock:
            if self._trio is None or (prefix, token) in self._ahead:
                return
            request = self._keep(PageRequest(prefix, token, self._clock()))
        self._send(request)

    def forget(self, directory: str, name: str) -> None:
        """Forget pages that were asked for before this mount changed a name."""
        if self._ahead:
            with self._lock:
                for key in [key for key in self._ahead if is_touched(key[0], directory, name)]:
                    del self._ahead[key]

    def _chain(self, request: PageRequest) -> None:
        with self._lock:
            request.is_chained, following = True, request.following
        if following is not None:
            self.begin(request.prefix, following)

    def _keep(self, request: PageRequest) -> PageRequest:
        self._ahead[request.prefix, request.token] = request
        while len(self._ahead) > KEPT:
            del self._ahead[next(iter(self._ahead))]
        return request

    def _send(self, request: PageRequest) -> PageRequest:
        def deliver(answer: outcome.Outcome[PageAnswer]) -> None:
            request.answer = answer
            with suppress(trio.RunFinishedError):
                if self._trio is not None:
                    self._trio.run_sync_soon(request.landed.set)

        trio.lowlevel.start_thread_soon(lambda: self._load(request), deliver, name="listing")
        return request

    # --- in threads ------------------------------------------------------

    def _load(self, request: PageRequest) -> PageAnswer:
        def tell(following: str | None) -> None:
            with self._lock:
                request.following, is_chained = following, request.is_chained
            if is_chained and following is not None:
                self.begin(request.prefix, following)

        page = self._bucket.list_page(request.prefix, after=request.token, limit=PAGE, tell=tell)
        tell(page.next)
        return PageAnswer(read_page(request.prefix, page), page.next)
