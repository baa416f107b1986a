"""Which engine serves which address. A new engine is a module and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from volfs.errors import NotAStoreError
from volfs.model.progress import Report, report_nothing
from volfs.store.address import parse_address
from volfs.store.contract.care import RebuildReport
from volfs.store.contract.store import Store
from volfs.store.opening import speaking_of
from volfs.store.tables import TableNames, TableStore

T = TypeVar("T")
OpenEngine = Callable[[str, bool], Store]
"""``(location, create)``: the address without its scheme; whether to make the store."""

RebuildEngine = Callable[[str, Report], RebuildReport]

# Engines are imported late: who only names a store, as handles in containers do,
# needs none, and who opens it needs one part of one.


def _rebuild_embedded(location: str, report: Report) -> RebuildReport:
    from volfs.store.embedded.care.rebuild import rebuild_embedded

    return rebuild_embedded(location, report)


def _open_embedded(location: str, create: bool) -> Store:
    from volfs.store.embedded.engine import open_embedded

    return open_embedded(location, create)


REBUILDERS: dict[str, RebuildEngine] = {
    "file": _rebuild_embedded,
}


def _upgrade_embedded(location: str) -> bool:
    from volfs.store.embedded.place.layout import upgrade_embedded

    return upgrade_embedded(location)


UPGRADERS: dict[str, Callable[[str], bool]] = {
    "file": _upgrade_embedded,
}

ENGINES: dict[str, OpenEngine] = {
    "file": _open_embedded,
}


def _open_embedded_tables(location: str, names: TableNames, create: bool) -> TableStore:
    from volfs.store.embedded.tables.tables import open_embedded_tables

    return open_embedded_tables(location, names, create)


OpenTables = Callable[[str, TableNames, bool], TableStore]
TABLES: dict[str, OpenTables] = {
    "file": _open_embedded_tables,
}


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the store at a directory or a URL; with ``create``, make it if it is not there.

    Two opens of one store share an engine in this process; each wants its own
    ``close``. NotAStoreError: nothing there, something else there, or an unknown
    scheme. UnsupportedFormatError: a newer volfs made it. StoreError: it cannot
    be reached, or was opened before this process was forked.
    """
    engine, location = _find_engine(ENGINES, url)
    with speaking_of(url):
        return engine(location, create)


def open_tables(url: str, names: TableNames, *, create: bool = False) -> TableStore:
    """Open tables of the store at an address; errors as of ``open_store``."""
    engine, location = _find_engine(TABLES, url)
    with speaking_of(url):
        return engine(location, names, create)


def _find_engine(engines: dict[str, T], url: str) -> tuple[T, str]:
    """Who serves the address, and the address without its scheme. NotAStoreError."""
    scheme, location = parse_address(url)
    engine = engines.get(scheme)
    if engine is None:
        known = ", ".join(sorted(engines))
        raise NotAStoreError(f"store {url}: unknown scheme {scheme}; known: a directory, {known}")
    return engine, location


def upgrade_format(url: str) -> bool:
    """Let a store of a former volfs be of today's format; False if it is already.

    At once, for what is in it is read as it is. A former volfs refuses it then.
    StoreUnavailableError if anybody has the store open; NotAStoreError.
    """
    upgrade, location = _find_engine(UPGRADERS, url)
    with speaking_of(url):
        return upgrade(location)


def rebuild_index(url: str, report: Report = report_nothing) -> RebuildReport:
    """Make the index of a store again from what it stores.

    StoreUnavailableError if anybody has the store open; NotAStoreError. Until it
    ends, and wherever it dies, the former index stays in its place.
    """
    rebuild, location = _find_engine(REBUILDERS, url)
    return rebuild(location, report)
