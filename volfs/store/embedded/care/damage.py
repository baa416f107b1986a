"""The check of a store: the index's pages and rows, every stored byte, refs, and the name log."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from volfs.errors import DamagedObjectError
from volfs.model.progress import Report, report_bytes
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.checked_lmdb.whole_tables import iter_damaged_rows
from volfs.store.contract.care import Damage
from volfs.store.embedded.care.name_check import list_name_damage
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import list_files, pack_path
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.refs.refs import TAGS, RefRows
from volfs.store.packs.check import CheckPacks, check_lengths, check_packs
from volfs.store.packs.entries import iter_entry_damage


def iter_damage(
    packs: Packs, refs: RefRows, read_data: bool, report: Report, *, is_quick: bool = False
) -> Iterator[Damage]:
    """Yield everything that is wrong with a store. ``is_quick``: no record in a pack is read."""
    yield from _iter_environment(packs.environment)
    look = check_lengths if is_quick else partial(check_packs, read_data=read_data)
    try:
        yield from _iter_content(packs, refs, look, report)
    except DamagedObjectError as error:
        yield Damage(None, "index", f"the rest was not looked at: {error}")
    yield from list_name_damage(packs, refs)


def _iter_content(
    packs: Packs, refs: RefRows, look: CheckPacks, report: Report
) -> Iterator[Damage]:
    files = list_files(packs.directory)
    rows = packs.index.list_readable_packs()
    yield from look(packs.index, packs.source, rows, report)
    yield from _iter_unknown(packs, files)
    if look is not check_lengths:
        by_pack = {row.pack: row for row in rows}
        yield from iter_entry_damage(packs.index, packs.source, by_pack)
    yield from _iter_refs(packs.index, refs)
    total = sum(row.durable for row in rows)
    report_bytes(report, total, total)


def list_unknown(packs: Packs, files: list[int]) -> list[int]:
    """Those of the given pack files that have no row in the index. The files were there a moment
    ago.

    A row is made before its file, and removed after it.
    """
    with packs.environment.read() as txn:
        known = set(packs.index.list_pack_ids(txn))
        known |= {item.pack for item in packs.index.quarantine.list_packs(txn)}
    return [p for p in files if p not in known and pack_path(packs.directory, p).exists()]


def _iter_unknown(packs: Packs, files: list[int]) -> Iterator[Damage]:
    for pack in list_unknown(packs, files):
        yield Damage(None, f"pack {pack}", "the index does not know this file")


# --- index and refs ---------------------------------------------------------


def _iter_environment(environment: LmdbEnvironment) -> Iterator[Damage]:
    for problem in environment.find_problems():
        yield Damage(None, "index", problem)
    for table, problem in iter_damaged_rows(environment):
        yield Damage(None, f"table {table.decode()}", f"{problem}; {_find_remedy(table)}")


def _find_remedy(table: bytes) -> str:
    """What mends a damaged row of a table."""
    if table == TAGS:
        return (
            "`volfs check --repair` mends it if names.log has it; else what it named is lost: "
            "`volfs tag --force` names a version again, `volfs tag --delete` takes it away"
        )
    if table in (b"volumes", b"versions"):
        return (
            "`volfs check --repair` makes it again if that can be told for certain; "
            "else `volfs rebuild-index` does, from manifests"
        )
    return "`volfs check --repair` mends it"


def _iter_refs(index: Index, refs: RefRows) -> Iterator[Damage]:
    for record in refs.list_volumes():
        for version, manifest in refs.iter_versions(record.id):
            # An object that a repair found lost is no longer damage of the store.
            if not index.contains(manifest) and not index.is_lost(manifest):
                where = f"version {version} of volume {record.full_name}"
                yield Damage(manifest, where, "its manifest is not in the index")
    for volume_id in refs.list_headless():
        yield Damage(None, f"volume {volume_id}", "its head is not the newest version")
