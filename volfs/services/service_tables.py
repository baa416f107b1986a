"""The tables of Dicts, Queues, Secrets and environments. Rows, byte by byte: docs/format.md,
"Tables"."""

from __future__ import annotations

from volfs.store.tables import TableNames

RESOURCES, NAMES, EPHEMERAL, REMAINS = "resources", "resource-names", "ephemeral", "doomed"
ENTRIES, VALUES = "dict-entries", "dict-values"
ENVIRONMENTS = "environments"
PARTITIONS, ITEMS, COUNTS = "queue-partitions", "queue-items", "queue-counts"
SECRETS, USES = "secrets", "secret-uses"
IDENTITY = "identity"

ALL = TableNames(
    durable=(
        RESOURCES,
        NAMES,
        EPHEMERAL,
        REMAINS,
        ENTRIES,
        VALUES,
        SECRETS,
        USES,
        ENVIRONMENTS,
        IDENTITY,
    ),
    volatile=(PARTITIONS, ITEMS, COUNTS),
)
