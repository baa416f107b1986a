"""Tables of a new store, and a clock that stands still until it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from volfs.services.layout import open_services
from volfs.store.tables import TableStore


class Clock:
    """Gives nanoseconds since 1970; ``pass_`` lets seconds go by."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * 10**9

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * 10**9)


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
