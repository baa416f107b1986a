"""The end of quarantine: deleting packs whose grace is over, or bringing all of them back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from volfs.errors import OutOfSpaceError
from volfs.errors.fault_points import reached
from volfs.store.checked_lmdb.environment import Transaction, store_errors
from volfs.store.contract.care import GcOptions, GcProgress, Undeleted
from volfs.store.elapsed import Wait, look_again, wait_since
from volfs.store.embedded.care.caretaker import ROWS_AT_ONCE, Parts, Row, alone
from volfs.store.embedded.data.pack_files import pack_path
from volfs.store.embedded.data.quarantine import Fate, QuarantinedPack, iter_condemned
from volfs.store.packs.rows import decode_entry


def find_size(parts: Parts, pack: int) -> int:
    """Of a pack's file; 0 if there is none."""
    with store_errors(f"pack {pack}"):
        try:
            return pack_path(parts.directory, pack).stat().st_size
        except FileNotFoundError:
            return 0


def find_due(parts: Parts, options: GcOptions) -> list[QuarantinedPack]:
    """Packs in quarantine whose grace is over. Without a grace all are, whenever they came."""
    with parts.environment.read() as txn:
        packs = parts.index.quarantine.list_packs(txn)
    return [item for item in packs if _is_due(item, options)]


def _is_due(item: QuarantinedPack, options: GcOptions) -> bool:
    if item.fate == Fate.DOOMED or options.grace_ns <= 0:
        return True
    return _waited(item, options)[0] >= options.grace_ns


def note_times(parts: Parts, options: GcOptions) -> None:
    """Write down of what is not due how long it has waited, where that is news."""
    quarantine = parts.index.quarantine
    with parts.environment.read() as txn:
        packs = [item for item in quarantine.list_packs(txn) if not _is_due(item, options)]
    news = [(item, now) for item in packs if (now := _look(item, options)) != item]

    def note(txn: Transaction) -> None:
        for item, now in news:
            quarantine.note_time(txn, item, now)

    if news:
        with suppress(OutOfSpaceError):  # they wait a little longer then
            parts.environment.free(note)


def _look(item: QuarantinedPack, options: GcOptions) -> QuarantinedPack:
    """The pack's row as it is to be; what was put aside in the future was put aside now."""
    _, wait = _waited(item, options)
    since_ns = min(item.since_ns, options.now_ns)
    return item._replace(since_ns=since_ns, wait=wait or item.wait)


def _waited(item: QuarantinedPack, options: GcOptions) -> tuple[int, Wait | None]:
    wait = item.wait or wait_since(item.since_ns)
    return look_again(wait, options.moment, options.grace_ns)


def purge(parts: Parts, options: GcOptions) -> Iterator[GcProgress]:
    """Delete what is due: doom, then the files, then the rows."""
    note_times(parts, options)
    due = find_due(parts, options)
    if not due:
        return
    quarantine = parts.index.quarantine
    doomed = parts.environment.free(
        lambda txn: {item.pack for item in due if quarantine.doom(txn, item.pack)}
    )
    reached("gc.doomed")
    total = sum(find_size(parts, pack) for pack in doomed)
    done = 0
    yield GcProgress("delete", done, total)
    for pack in sorted(doomed):
        done += find_size(parts, pack)
        yield from _remove_file(parts, pack)
        yield GcProgress("delete", done, total)
    parts.pool.sync_directory()
    for rows in iter_condemned(parts.environment, quarantine, ROWS_AT_ONCE):
        _forget_rows(parts, [row for row in rows if decode_entry(*row).pack in doomed])
        yield GcProgress("delete", done, total)
    reached("gc.forgotten")

    def forget(txn: Transaction) -> None:
        for pack in doomed:
            quarantine.forget_pack(txn, pack)

    parts.environment.free(forget)


def tidy_names(parts: Parts) -> None:
    """Shorten the name log; on a disk that is still full it stays as it is."""
    with suppress(OutOfSpaceError):
        if not parts.index.has_lost_refs():
            with parts.environment.write(reserve=0) as txn:
                parts.refs.log_all_names(txn)


def _remove_file(parts: Parts, pack: int) -> Iterator[GcProgress]:
    path = pack_path(parts.directory, pack)
    parts.packs.forget(pack)
    with store_errors(f"pack {pack}"):
        parts.pool.check_place()
        try:
            # Those who have it open would keep its room, and go on reading there. What has
            # another name is not ours alone: a copy of the store by links needs its bytes.
            if path.stat().st_nlink == 1:
                os.truncate(path, 0)
            reached("gc.cut")
            yield GcProgress("delete", 0, 0)
            path.unlink()
            reached("gc.removed")
        except FileNotFoundError:
            return  # An earlier gc died after this.


def _forget_rows(parts: Parts, rows: list[Row]) -> None:
    def forget(txn: Transaction) -> None:
        for oid, row in rows:
            parts.index.quarantine.forget(txn, oid, row)

    if rows:
        parts.environment.free(forget)


def undelete(parts: Parts) -> Undeleted:
    """Bring back what gc put into quarantine and is not doomed. May be repeated."""
    with alone(parts.directory):
        with parts.environment.read() as txn:
            aside = parts.index.quarantine.list_packs(txn)
        packs = [item for item in aside if item.fate == Fate.WAITING]
        damaged = sum(item.fate == Fate.DAMAGED for item in aside)
        whole = [p for p in packs if find_size(parts, p.pack) >= p.durable]
        with parts.environment.write(reserve=0) as txn:
            for quarantined in whole:
                parts.index.quarantine.bring_back(txn, quarantined)
        reached("undelete.returned")
        objects = _restore_objects(parts)
        return Undeleted(len(whole), objects, len(packs) - len(whole), damaged)


def _restore_objects(parts: Parts) -> int:
    """Index the condemned objects of all packs that are there."""
    there = {row.pack for row in parts.index.list_packs()}
    restored = 0
    for rows in iter_condemned(parts.environment, parts.index.quarantine, ROWS_AT_ONCE):
        with parts.environment.write(reserve=0) as txn:
            for oid, row in rows:
                entry = decode_entry(oid, row)
                if entry.pack in there:
                    restored += parts.index.quarantine.restore(txn, oid, entry)
    return restored
