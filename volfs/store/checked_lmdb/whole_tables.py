"""Work on whole tables of an environment: copying, emptying, looking for damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from volfs.store.checked_lmdb.environment import LmdbEnvironment


def copy_tables(
    source: LmdbEnvironment, target: LmdbEnvironment, skip: frozenset[bytes]
) -> Counter[bytes]:
    """Copy every table except those in ``skip`` into an environment that has none of them.

    All rows of the copied tables have checksums. Damaged rows are left out, and the result counts
    them by table.
    """
    damaged: Counter[bytes] = Counter()
    with source.read() as txn, txn.raw.cursor() as cursor:
        names = [name for name in cursor.iternext(values=False) if name not in skip]
    for name in names:
        table, copy = source.open_table(name), target.open_table(name)
        with source.read() as txn, target.write() as writing:
            for row in txn.iter_rows(table):
                if isinstance(row, str):
                    damaged[name] += 1
                else:
                    writing.put(*row, db=copy)
    return damaged


def empty_tables(environment: LmdbEnvironment, names: Collection[bytes]) -> None:
    """Remove every row of these tables."""
    for name in names:
        table = environment.open_table(name)
        with environment.write() as txn:
            txn.raw.drop(table.raw, delete=False)


def iter_damaged_rows(environment: LmdbEnvironment) -> Iterator[tuple[bytes, str]]:
    """Each row whose checksum is wrong: its table, and what is wrong."""
    for table in list(environment.tables.values()):
        if table.has_checksums:
            with environment.read() as txn:
                rows = txn.iter_rows(table)
                yield from ((table.name, row) for row in rows if isinstance(row, str))
