"""Which engine serves which address. A new engine is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from volfs.buckets.address import SCHEMES
from volfs.errors import NotAStoreError
from volfs.model.progress import Report, report_nothing
from volfs.store.address import parse_address
from volfs.store.contract.care import RebuildReport
from volfs.store.contract.store import Store
from volfs.store.opening import speaking_of
from volfs.store.tables import TableNames, TableStore

T = TypeVar("T")
OpenEngine = Callable[[str, bool], Store]
"""``(location, create)``: the address without its scheme, and whether to make the store."""

RebuildEngine = Callable[[str, Report], RebuildReport]

# Engines are imported late: code that only names a store, such as handles in containers, needs no
# engine, and code that opens a store needs one part of one engine.


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
    """Open the store at a directory or a URL. With ``create``, make it if it is not there.

    Two opens of one store share an engine in this process, and each needs its own ``close``.
    NotAStoreError if nothing is there, if something else is there, or if the scheme is unknown.
    UnsupportedFormatError if a newer volfs made the store. StoreError if the store cannot be
    reached, or was opened before this process was forked.
    """
    engine, location = _find_engine(ENGINES, url)
    with speaking_of(url):
        return engine(location, create)


def open_tables(url: str, names: TableNames, *, create: bool = False) -> TableStore:
    """Open tables of the store at an address. Errors as for ``open_store``."""
    engine, location = _find_engine(TABLES, url)
    with speaking_of(url):
        return engine(location, names, create)


def _find_engine(engines: dict[str, T], url: str) -> tuple[T, str]:
    """The engine that serves the address, and the address without its scheme. NotAStoreError."""
    scheme, location = parse_address(url)
    engine = engines.get(scheme)
    if engine is None:
        if scheme in SCHEMES:
            raise NotAStoreError(
                f"store {url}: this volfs keeps no volumes in a bucket yet; it only makes and "
                "probes such stores: see `volfs store --help`. Name a directory"
            )
        known = ", ".join(sorted(engines))
        raise NotAStoreError(f"store {url}: unknown scheme {scheme}; known: a directory, {known}")
    return engine, location


def upgrade_format(url: str) -> bool:
    """Give a store of a former volfs today's format. False if it has that format already.

    This takes a moment only, because the content is read as it is. A former volfs refuses the
    store from then on. StoreUnavailableError if anybody has the store open; NotAStoreError.
    """
    upgrade, location = _find_engine(UPGRADERS, url)
    with speaking_of(url):
        return upgrade(location)


def rebuild_index(url: str, report: Report = report_nothing) -> RebuildReport:
    """Make the index of a store again from its packs.

    StoreUnavailableError if anybody has the store open; NotAStoreError. Until it ends, and
    wherever it dies, the former index stays in its place.
    """
    rebuild, location = _find_engine(REBUILDERS, url)
    return rebuild(location, report)
