"""The end of quarantine: packs whose grace is over are deleted, or all packs are brought back."""

from __future__ import annotations

import os
from contextlib import suppress

from volfs.errors import OutOfSpaceError
from volfs.errors.fault_points import reached
from volfs.model.progress import Report, report_bytes
from volfs.store.checked_lmdb.environment import Transaction, store_errors
from volfs.store.contract.care import GcOptions, Undeleted
from volfs.store.elapsed import Wait, look_again, wait_since
from volfs.store.embedded.care.caretaker import alone
from volfs.store.embedded.data.pack_files import pack_path
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.data.quarantine import Fate, QuarantinedPack, iter_condemned
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.packs.local_index import ROWS_AT_ONCE
from volfs.store.packs.rows import IndexRow, decode_entry


def find_size(packs: Packs, pack: int) -> int:
    """Bytes of a pack's file; 0 if there is none."""
    with store_errors(f"pack {pack}"):
        try:
            return pack_path(packs.directory, pack).stat().st_size
        except FileNotFoundError:
            return 0


def find_due(packs: Packs, options: GcOptions) -> list[QuarantinedPack]:
    """Packs in quarantine whose grace is over. Without a grace these are all packs, whenever they
    came."""
    with packs.environment.read() as txn:
        aside = packs.index.quarantine.list_packs(txn)
    return [item for item in aside if _is_due(item, options)]


def _is_due(item: QuarantinedPack, options: GcOptions) -> bool:
    if item.fate == Fate.DOOMED or options.grace_ns <= 0:
        return True
    return _waited(item, options)[0] >= options.grace_ns


def note_times(packs: Packs, options: GcOptions) -> None:
    """Write down how long packs that are not due have waited, if that is more than is written."""
    quarantine = packs.index.quarantine
    with packs.environment.read() as txn:
        early = [item for item in quarantine.list_packs(txn) if not _is_due(item, options)]
    news = [(item, now) for item in early if (now := _look(item, options)) != item]

    def note(txn: Transaction) -> None:
        for item, now in news:
            quarantine.note_time(txn, item, now)

    if news:
        with suppress(OutOfSpaceError):  # Without the note these packs wait a little longer.
            packs.environment.free(note)


def _look(item: QuarantinedPack, options: GcOptions) -> QuarantinedPack:
    """The row that the pack should have. A pack that was put aside in the future counts as put
    aside now."""
    _, wait = _waited(item, options)
    since_ns = min(item.since_ns, options.now_ns)
    return item._replace(since_ns=since_ns, wait=wait or item.wait)


def _waited(item: QuarantinedPack, options: GcOptions) -> tuple[int, Wait | None]:
    wait = item.wait or wait_since(item.since_ns)
    return look_again(wait, options.moment, options.grace_ns)


def purge(packs: Packs, options: GcOptions, report: Report) -> None:
    """Delete the packs that are due: first doom them, then remove the files, then the rows."""
    note_times(packs, options)
    due = find_due(packs, options)
    if not due:
        return
    quarantine = packs.index.quarantine
    doomed = packs.environment.free(
        lambda txn: {item.pack for item in due if quarantine.doom(txn, item.pack)}
    )
    reached("gc.doomed")
    total = sum(find_size(packs, pack) for pack in doomed)
    done = 0
    report_bytes(report, done, total)
    for pack in sorted(doomed):
        done += find_size(packs, pack)
        _remove_file(packs, pack, report)
        report_bytes(report, done, total)
    packs.pool.sync_directory()
    for rows in iter_condemned(packs.environment, quarantine, ROWS_AT_ONCE):
        _forget_rows(packs, [row for row in rows if decode_entry(*row).pack in doomed])
        report_bytes(report, done, total)
    reached("gc.forgotten")

    def forget(txn: Transaction) -> None:
        for pack in doomed:
            quarantine.forget_pack(txn, pack)

    packs.environment.free(forget)


def tidy_names(packs: Packs, refs: RefRows) -> None:
    """Shorten the name log. On a disk that is still full, the log stays as it is."""
    with suppress(OutOfSpaceError):
        if not packs.index.has_lost_refs():
            with packs.environment.write(reserve=0) as txn:
                refs.log_all_names(txn)


def _remove_file(packs: Packs, pack: int, report: Report) -> None:
    path = pack_path(packs.directory, pack)
    packs.source.forget(pack)
    with store_errors(f"pack {pack}"):
        packs.check_place()
        try:
            # Processes that have the file open would keep its room, and go on reading there, so it
            # is cut. A file with another name belongs to a copy of the store by links, which needs
            # the bytes.
            if path.stat().st_nlink == 1:
                os.truncate(path, 0)
            reached("gc.cut")
            report_bytes(report, 0, 0)
            path.unlink()
            reached("gc.removed")
        except FileNotFoundError:
            return  # An earlier gc died after this step.


def _forget_rows(packs: Packs, rows: list[IndexRow]) -> None:
    def forget(txn: Transaction) -> None:
        for oid, row in rows:
            packs.index.quarantine.forget(txn, oid, row)

    if rows:
        packs.environment.free(forget)


def undelete(packs: Packs) -> Undeleted:
    """Bring back the packs that gc put into quarantine and that are not doomed. May be
    repeated."""
    with alone(packs.directory):
        with packs.environment.read() as txn:
            aside = packs.index.quarantine.list_packs(txn)
        waiting = [item for item in aside if item.fate == Fate.WAITING]
        damaged = sum(item.fate == Fate.DAMAGED for item in aside)
        whole = [p for p in waiting if find_size(packs, p.pack) >= p.durable]
        with packs.environment.write(reserve=0) as txn:
            for quarantined in whole:
                packs.index.quarantine.bring_back(txn, quarantined)
        reached("undelete.returned")
        objects = _restore_objects(packs)
        return Undeleted(len(whole), objects, len(waiting) - len(whole), damaged)


def _restore_objects(packs: Packs) -> int:
    """Index the condemned objects of all packs that are there."""
    there = {row.pack for row in packs.index.list_packs()}
    restored = 0
    for rows in iter_condemned(packs.environment, packs.index.quarantine, ROWS_AT_ONCE):
        with packs.environment.write(reserve=0) as txn:
            for oid, row in rows:
                entry = decode_entry(oid, row)
                if entry.pack in there:
                    restored += packs.index.quarantine.restore(txn, oid, entry)
    return restored
