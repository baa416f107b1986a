"""The survey of what every pack holds, by which a collector decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from volfs.model.collection import PackUse
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.store.contract.care import Live
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.rows import decode_entry


def survey_packs(
    index: LocalIndex,
    live: Live,
    find_size: Callable[[int], int],
    is_former: Callable[[int], bool] = lambda pack: False,
) -> list[PackUse]:
    """How much of each pack is in use. ``find_size`` gives a pack's present size. Packs for which
    ``is_former`` is true are to be rewritten, however much of them is in use."""
    rows = index.list_packs()
    objects: Counter[int] = Counter()
    stored: Counter[int] = Counter()
    dead: Counter[int] = Counter()
    for oid, encoded in index.iter_rows():
        entry = decode_entry(oid, encoded)
        if oid in live:
            objects[entry.pack] += 1
            stored[entry.pack] += RECORD_HEADER_SIZE + entry.stored
        else:
            dead[entry.pack] += 1
    return [
        PackUse(
            pack,
            durable,
            find_size(pack),
            objects[pack],
            stored[pack],
            dead[pack],
            is_former=is_former(pack),
        )
        for pack, _, durable in rows
    ]
