"""A new index made from the packs, in place of one that is lost or no longer trusted.

Nobody may have the store open. Steps: docs/format.md, "When the index is lost".
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DataError, StoreError
from volfs.errors.fault_points import reached
from volfs.model.progress import Report
from volfs.store.anchor import name_places
from volfs.store.checked_lmdb.environment import LmdbEnvironment, store_errors
from volfs.store.checked_lmdb.pages import DATA, LOCK
from volfs.store.checked_lmdb.whole_tables import copy_tables, empty_tables
from volfs.store.contract.care import RebuildReport
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import PackReader, list_files
from volfs.store.embedded.place.handle import Proof
from volfs.store.embedded.place.layout import FORMAT, INDEX, PACKS, lock_store, open_handle
from volfs.store.embedded.refs.name_log import NAME_LOG, NameLog
from volfs.store.embedded.refs.refs import TAGS, RefRows
from volfs.store.embedded.refs.tags import Tags
from volfs.store.owner import make_directory
from volfs.store.packs.rebuilder import Rebuilder
from volfs.store.packs.rows import PackRow
from volfs.system.files import remove_file, sync_directory

NEW = "index.new"
OLD = f"{DATA}.old"
_REBUILT = frozenset((b"objects", b"packs", b"counters"))
_REFS = frozenset((b"volumes", b"names", b"heads", b"versions"))
"""Tables that belong together, and can be made again from manifests."""
_SPOILED = frozenset((b"objects",))
"""Tables with most of the pages. If only these are damaged, all others are copied."""


def rebuild_embedded(location: str, report: Report) -> RebuildReport:
    """See ``store.registry.rebuild_index``."""
    with ExitStack() as stack:
        handle = open_handle(Path(location).absolute())
        stack.callback(handle.close)
        stack.callback(os.close, lock_store(handle, alone=True))
        proof = Proof(handle)
        stack.callback(proof.close)
        proof.watch(FORMAT, PACKS)
        return _rebuild(handle.base, proof, report)


def _rebuild(path: Path, proof: Proof, report: Report) -> RebuildReport:
    proof.check()
    new = path / NEW
    with store_errors(f"{new}"):
        shutil.rmtree(new, ignore_errors=True)
        make_directory(new)
    environment = LmdbEnvironment(new)
    packs = PackReader(path / PACKS)
    try:
        former = _copy_former(path, environment)
        index = Index(environment)
        index.begin_epoch()
        if former.has_lost_refs:
            index.set_lost_refs(True)
        reached("rebuild.begun")
        rebuilder = Rebuilder(index, packs, former.packs)
        aside = _list_aside(index)
        rebuilder.run([p for p in list_files(path / PACKS) if p not in aside], report)
        with environment.write() as txn:
            for pack in aside:
                index.use_id(txn, pack)
        result = _report(rebuilder, index, former.lost_rows, path)
    finally:
        packs.close()
        environment.close()
    reached("rebuild.scanned")
    proof.check()
    _put_in_place(path)
    return result


class Former(NamedTuple):
    """What is left of the former index, and is not in the new one yet."""

    packs: dict[int, PackRow]
    has_lost_refs: bool = False
    lost_rows: int = 0
    """Damaged rows of tables other than refs."""


LOST = Former({}, has_lost_refs=True)


def _copy_former(path: Path, target: LmdbEnvironment) -> Former:
    """Copy what cannot be made again, as far as it can be read.

    StoreError if the disk failed, because that may pass, and tags cannot be made again.
    """
    if not (path / INDEX / DATA).exists():
        return LOST
    try:
        former = LmdbEnvironment(path / INDEX, spoiled=_SPOILED)
    except DataError:
        return LOST
    except StoreError as error:
        raise type(error)(
            f"{error}; nothing was changed. If it is lost for good, move "
            f"{name_places(str(path / INDEX))} away and try again"
        ) from error
    try:
        index = Index(former)
        if not index.has_allocated() and list_files(path / PACKS):
            return LOST
        rows = {row.pack: row for row in index.list_readable_packs()}
        damaged = copy_tables(former, target, _REBUILT)
        Index(target).put_counters(index.list_readable_counters())
        has_lost_refs = not _REFS.isdisjoint(damaged)
        if has_lost_refs:
            empty_tables(target, _REFS)
        elif damaged[TAGS]:
            # All rows of a lost page count as one.
            damaged[TAGS] = max(0, damaged[TAGS] - _recover_tags(path, target))
    except DataError:
        return LOST
    finally:
        former.close()
    return Former(rows, has_lost_refs, sum(damaged[name] for name in damaged.keys() - _REFS))


def _recover_tags(path: Path, target: LmdbEnvironment) -> int:
    """Put the tags of the name log that the former index did not have whole. How many were put."""
    log = NameLog(path / NAME_LOG)
    tags = Tags(target, RefRows(target, log), log)
    with target.write() as txn:
        return sum(tags.recover(txn, volume_id, n.tags) for volume_id, n in log.read().items())


def _put_in_place(path: Path) -> None:
    """Put the new index in place by one rename: before it the former index is there, after it the
    new one."""
    index, new = path / INDEX, path / NEW
    with store_errors(f"{index}"):
        make_directory(index)
        remove_file(index / OLD)
        if (index / DATA).exists():
            (index / OLD).hardlink_to(index / DATA)
        # A lock file has data that belongs to one data file.
        remove_file(index / LOCK)
        reached("rebuild.cleared")
        (new / DATA).rename(index / DATA)
        reached("rebuild.placed")
        sync_directory(index)
        sync_directory(path)
        shutil.rmtree(new)


def _list_aside(index: Index) -> set[int]:
    """The packs in quarantine, which stay there."""
    with index.environment.write() as txn:
        index.quarantine.mend(txn)
        return {item.pack for item in index.quarantine.list_packs(txn)}


def _report(rebuilder: Rebuilder, index: Index, lost_rows: int, path: Path) -> RebuildReport:
    damaged_names = sum(line.naming is None for line in NameLog(path / NAME_LOG).list_lines())
    return RebuildReport(
        rebuilder.packs,
        rebuilder.objects,
        rebuilder.bytes,
        rebuilder.damaged_packs,
        index.has_lost_refs(),
        lost_rows,
        damaged_names,
    )
