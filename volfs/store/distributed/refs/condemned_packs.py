"""What gc has condemned: the lines of its log, read by number, because line K is era K; and which
packs of a volume can still be read."""

from __future__ import annotations

from volfs.errors import DamagedObjectError
from volfs.model.logs.gc_log import GC_CHANGES, GcChange, GcState, list_condemned
from volfs.model.logs.pack_table import PackInUse
from volfs.store.distributed.log.log import Log


def find_condemned(log: Log, after: int, upto: int | None) -> frozenset[str]:
    """The packs that gc has condemned in the eras after the first number, up to the second, or up
    to the newest. DamagedObjectError; StoreError."""
    if upto is None:
        return list_condemned(GC_CHANGES.decode(line.body) for _, line in log.read_after(after))
    return list_condemned(_read_line(log, number) for number in range(after + 1, upto + 1))


def _read_line(log: Log, number: int) -> tuple[GcChange, ...]:
    line = log.find_line(number)
    if line is None:
        raise DamagedObjectError(f"{log.place.line(number)}: the line of an era is gone")
    return GC_CHANGES.decode(line.body)


def is_usable(row: PackInUse, gc: GcState) -> bool:
    """Whether a pack of a living volume can still be read.

    gc dooms a pack only after it was closed in all living volumes. So an open one is there, and a
    closed one is there if the log of gc has not doomed it.
    """
    name = row.pack.name
    return row.is_open or name in gc.condemned or name in gc.returned
