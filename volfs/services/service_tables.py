"""The tables of Dicts, Queues, Secrets and environments. Rows, byte by byte: docs/format.md,
"Tables"."""

from __future__ import annotations

from volfs.store.registry import open_tables
from volfs.store.tables import TableNames, TableStore

RESOURCES, NAMES, EPHEMERAL, REMAINS = "resources", "resource-names", "ephemeral", "doomed"
ENTRIES, VALUES = "dict-entries", "dict-values"
ENVIRONMENTS = "environments"
PARTITIONS, ITEMS, COUNTS = "queue-partitions", "queue-items", "queue-counts"
SECRETS, USES = "secrets", "secret-uses"

ALL = TableNames(
    durable=(RESOURCES, NAMES, EPHEMERAL, REMAINS, ENTRIES, VALUES, SECRETS, USES, ENVIRONMENTS),
    volatile=(PARTITIONS, ITEMS, COUNTS),
)


def open_services(url: str, *, create: bool = False) -> TableStore:
    """Open these tables of the store at an address. Raises what ``open_store`` raises."""
    return open_tables(url, ALL, create=create)
