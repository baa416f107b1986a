"""What gc has condemned: the lines of its log, read by number, because line K is era K."""

from __future__ import annotations

from volfs.errors import DamagedObjectError
from volfs.model.logs.gc_log import GC_CHANGES, PacksCondemned
from volfs.store.distributed.log.log import Log


def find_condemned(log: Log, after: int, upto: int) -> frozenset[str]:
    """The packs that gc has condemned in the eras after the first number, up to the second.
    DamagedObjectError; StoreError."""
    found: set[str] = set()
    for number in range(after + 1, upto + 1):
        found.update(_list_condemned(log, number))
    return frozenset(found)


def _list_condemned(log: Log, number: int) -> list[str]:
    line = log.find_line(number)
    if line is None:
        raise DamagedObjectError(f"{log.place.line(number)}: the line of an era is gone")
    changes = GC_CHANGES.decode(line.body)
    condemned = [change for change in changes if isinstance(change, PacksCondemned)]
    return [pack for change in condemned for pack in change.packs]
