"""Which engine serves which address. A new engine is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from volfs.buckets.address import SCHEMES
from volfs.errors import NotAStoreError, StoreError
from volfs.model.progress import Report, report_nothing
from volfs.store.address import FILE, Address, parse_address
from volfs.store.contract.care import RebuildReport
from volfs.store.contract.store import Store
from volfs.store.opening import speaking_of
from volfs.store.tables import TableNames, TableStore

T = TypeVar("T")
OpenEngine = Callable[[Address, bool], Store]
"""``(address, create)``: where the store is, and whether to make it."""

RebuildEngine = Callable[[Address, Report], RebuildReport]

# Engines are imported late: code that only names a store, such as handles in containers, needs no
# engine, and code that opens a store needs one part of one engine.


def _open_embedded(address: Address, create: bool) -> Store:
    from volfs.store.embedded.engine import open_embedded

    return open_embedded(address.location, create)


def _open_distributed(address: Address, create: bool) -> Store:
    from volfs.store.distributed.bucket_engine import open_distributed

    return open_distributed(address.text, create)


ENGINES: dict[str, OpenEngine] = {
    FILE: _open_embedded,
    **dict.fromkeys(SCHEMES, _open_distributed),
}


def _rebuild_embedded(address: Address, report: Report) -> RebuildReport:
    from volfs.store.embedded.care.rebuild import rebuild_embedded

    return rebuild_embedded(address.location, report)


def _rebuild_distributed(address: Address, report: Report) -> RebuildReport:
    from volfs.store.distributed.bucket_engine import rebuild_distributed

    return rebuild_distributed(address.text, report)


REBUILDERS: dict[str, RebuildEngine] = {
    FILE: _rebuild_embedded,
    **dict.fromkeys(SCHEMES, _rebuild_distributed),
}


def _upgrade_embedded(address: Address) -> bool:
    from volfs.store.embedded.place.layout import upgrade_embedded

    return upgrade_embedded(address.location)


def _upgrade_distributed(address: Address) -> bool:
    """There is one format only, and whoever opens the store checks that it has this one."""
    _open_distributed(address, False).close()
    return False


UPGRADERS: dict[str, Callable[[Address], bool]] = {
    FILE: _upgrade_embedded,
    **dict.fromkeys(SCHEMES, _upgrade_distributed),
}


def _open_embedded_tables(address: Address, names: TableNames, create: bool) -> TableStore:
    from volfs.store.embedded.tables.tables import open_embedded_tables

    return open_embedded_tables(address.location, names, create)


def _open_distributed_tables(address: Address, names: TableNames, create: bool) -> TableStore:
    from volfs.store.distributed.table_store import open_bucket_tables

    return open_bucket_tables(address.text, names, create)


OpenTableStore = Callable[[Address, TableNames, bool], TableStore]
TABLES: dict[str, OpenTableStore] = {
    FILE: _open_embedded_tables,
    **dict.fromkeys(SCHEMES, _open_distributed_tables),
}


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the store at a directory or a URL. With ``create``, make it if it is not there.

    Two opens of one store share an engine in this process, and each needs its own ``close``.
    NotAStoreError if nothing is there, if something else is there, or if the scheme is unknown.
    UnsupportedFormatError if a newer volfs made the store. StoreError if the store cannot be
    reached, or was opened before this process was forked.
    """
    engine, address = _find_engine(ENGINES, url)
    with speaking_of(address):
        return engine(address, create)


def open_tables(url: str, names: TableNames, *, create: bool = False) -> TableStore:
    """Open tables of the store at an address. Errors as for ``open_store``."""
    engine, address = _find_engine(TABLES, url)
    with speaking_of(address):
        return engine(address, names, create)


def _find_engine(engines: dict[str, T], url: str, what: str = "") -> tuple[T, Address]:
    """The engine that serves an address, and the address. NotAStoreError; StoreError if the
    address is that of a bucket, and ``what`` is not there for buckets."""
    address = parse_address(url)
    engine = engines.get(address.scheme)
    if engine is None and address.scheme in SCHEMES:
        raise StoreError(f"store {url}: {what} cannot be had of a store in a bucket yet")
    if engine is None:
        known = ", ".join(sorted(ENGINES))
        raise NotAStoreError(
            f"store {url}: unknown scheme {address.scheme}; known: a directory, {known}"
        )
    return engine, address


def upgrade_format(url: str) -> bool:
    """Give a store of a former volfs today's format. False if it has that format already.

    This takes a moment only, because the content is read as it is. A former volfs refuses the
    store from then on. StoreUnavailableError if anybody has the store open; NotAStoreError.
    """
    upgrade, address = _find_engine(UPGRADERS, url)
    with speaking_of(address):
        return upgrade(address)


def rebuild_index(url: str, report: Report = report_nothing) -> RebuildReport:
    """Make the index of a store again from its packs.

    StoreUnavailableError if anybody has the store open; NotAStoreError. Until it ends, and
    wherever it dies, the former index stays in its place.
    """
    rebuild, address = _find_engine(REBUILDERS, url, "rebuild-index")
    return rebuild(address, report)
