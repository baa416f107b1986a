"""Measures now and then what stores take and when gc ran. Each store is measured in a thread of its
own, so that a disk that hangs keeps nobody waiting."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from volfs.errors import VolfsError
from volfs.store.address import find_local_path
from volfs.store.contract.care import Space, StoredSize
from volfs.store.registry import open_store
from volfs.volume.gc_notes import LastGc, find_last_gc

NEAR, FAR = 60.0, 600.0
"""Seconds between two measurements of a store: of one in a directory, and of one in a bucket, where
each measurement costs requests."""


class FoundStore(NamedTuple):
    """What was found at one store."""

    size: StoredSize
    space: Space | None
    volumes: int
    last_gc: LastGc | None


class Measurement(NamedTuple):
    """The newest facts, when they were found, and whether the last attempt failed."""

    facts: FoundStore | None = None
    at: float = 0.0
    """The time of day in seconds; 0 if nothing was found yet."""
    failed: bool = False


def measure(url: str) -> FoundStore:
    """Open a store and measure it. VolfsError."""
    with closing(open_store(url)) as store:
        return FoundStore(
            store.care.measure(),
            store.care.find_space(),
            len(store.refs.list_volumes()),
            find_last_gc(store.local),
        )


def is_ours(url: str) -> bool:
    """Whether a store belongs to this user. False if there is no store at the address. Root opens
    no other user's store, because opening it may make files, and they would be root's."""
    try:
        place = find_local_path(url)
        return place is None or place.stat().st_uid == os.geteuid()
    except (VolfsError, OSError):
        return False


class StoreWatch:
    """The stores that are measured. A store stays among them once it was asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Measurement] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def ask(self, urls: Iterable[str], patience: float = 0.0) -> dict[str, Measurement]:
        """The newest measurements. Those that are too old are made anew, and the caller waits
        ``patience`` seconds for them."""
        begun = [thread for url in dict.fromkeys(urls) if (thread := self._begin(url))]
        until = time.monotonic() + patience
        for thread in begun:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            return dict(self._found)

    def _begin(self, url: str) -> threading.Thread | None:
        with self._lock:
            found = self._found.setdefault(url, Measurement())
            every = FAR if find_local_path(url) is None else NEAR
            if url in self._busy or (found.at and time.time() - found.at < every):
                return None
            self._busy.add(url)
        thread = threading.Thread(target=self._measure, args=(url,), name="measure", daemon=True)
        thread.start()
        return thread

    def _measure(self, url: str) -> None:
        try:
            made = Measurement(measure(url), time.time())
        except (VolfsError, OSError):
            made = self._found[url]._replace(failed=True)
        with self._lock:
            self._found[url] = made
            self._busy.remove(url)
