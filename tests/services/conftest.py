"""Tables of a new store, and a clock that stands still until it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from volfs.model.entry import to_storable_time
from volfs.services.service_tables import open_services
from volfs.store.clock import Moment, Steady
from volfs.store.tables import TableStore


class Clock:
    """The clocks of a machine. ``pass_`` lets seconds go by."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * 10**9
        self.run, self.up = 1, 3600 * 10**9
        self.error = 0
        """How far the wall clock is ahead, in seconds."""

    def __call__(self) -> int:
        """What the wall clock says."""
        return to_storable_time(self.now + int(self.error * 10**9))

    def moment(self) -> Moment:
        return Moment(Steady(self.run.to_bytes(16, "big"), self.up), self())

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * 10**9)
        self.up += int(seconds * 10**9)

    def restart(self, away: float = 0, up: float = 0) -> None:
        """The machine starts anew; or the store is brought to one that has run for ``up``."""
        self.now += int(away * 10**9)
        self.run, self.up = self.run + 1, int(up * 10**9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[TableStore]:
    store = open_services(str(tmp_path / "store"), create=True)
    yield store
    store.close()


def count_rows(tables: TableStore, *names: str, volatile: bool = False) -> int:
    """All rows of these tables."""
    sort = tables.volatile if volatile else tables.durable
    return sum(
        sort.read(lambda txn: len(txn.scan(name, b"\0", b"\xff" * 9, 1 << 30)))  # noqa: B023
        for name in names
    )
