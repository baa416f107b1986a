"""Whether the name log could restore the names and tags of the index: docs/format.md.

The log may say more, if a process died before the change that it had logged, and the log may lack
that something was taken away. It must have every name and tag of the index. Only the name of a
volume's creation may be missing, because version 0 has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, DataError
from volfs.model.manifest import decode_manifest
from volfs.model.names import join_name
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.contract.care import Damage
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.refs.name_log import NAME_LOG, Naming
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.origin import find_record


def list_name_damage(packs: Packs, refs: RefRows) -> list[Damage]:
    """What is wrong with the name log, in words. StoreError if the log cannot be read."""
    with packs.environment.read() as txn:
        found = list(_iter_damage(packs, refs, txn))
    if found:
        # gc may have written the log anew since.
        with packs.environment.write(reserve=0) as txn:
            found = list(_iter_damage(packs, refs, txn))
    return found


def mend_name_log(packs: Packs, refs: RefRows) -> int:
    """Write the log anew if anything is wrong with it, and return how many faults it had.

    Returns 0, too, if rows of the index are still damaged, because of those the log may say more
    than the index.
    """
    if not list_name_damage(packs, refs):
        return 0
    with packs.environment.write(reserve=0) as txn:
        found = list(_iter_damage(packs, refs, txn))
        there = {naming.volume for naming in refs.iter_namings(txn)}
        said = refs.log.read()
        gone = [key for key, named in said.items() if named.name == "" and key not in there]
        return len(found) if found and refs.log_all_names(txn, gone) else 0


def _iter_damage(packs: Packs, refs: RefRows, txn: Transaction) -> Iterator[Damage]:
    lines = refs.log.list_lines()
    for number, naming in lines:
        if naming is None:
            yield _damage(f"line {number} is damaged")
    said = {line.naming for line in lines}
    unsaid = (naming for naming in refs.iter_namings(txn) if naming not in said)
    missing = [naming for naming in unsaid if not _is_original(packs, refs, txn, naming)]
    if missing and not refs.log.exists():
        yield _damage(f"it is gone, and {len(missing)} names and tags are in the index alone")
        return
    for naming in missing:
        yield _damage(f"it does not say {_describe(naming)}")


def _describe(naming: Naming) -> str:
    if naming.tag is None:
        called = join_name(naming.environment, naming.name or "")
        return f"that volume {naming.volume} is called {called}"
    return f"that tag {naming.tag} of volume {naming.volume} names version {naming.version}"


def _is_original(packs: Packs, refs: RefRows, txn: Transaction, naming: Naming) -> bool:
    """Whether a volume has the name that it was created with, as its version 0 says."""
    if naming.tag is not None:
        return False
    try:
        oid = refs.find_version_in(txn, naming.volume, 0)
    except DamagedObjectError:
        return True  # The damaged row of the index is reported elsewhere, and is mended first.
    try:
        data = packs.objects.load_object(oid) if oid else b""
    except DataError:
        return False
    return bool(data) and _says(data, naming)


def _says(data: bytes, naming: Naming) -> bool:
    try:
        record = find_record(decode_manifest(data))
    except DataError:
        return True  # It was put as a manifest and is none: not for a store to judge.
    said = (naming.environment, naming.name)
    return record is not None and (record.environment, record.name) == said


def _damage(problem: str) -> Damage:
    remedy = "`volfs check --repair` writes it anew, once no row of volumes or tags is damaged"
    return Damage(None, NAME_LOG, f"{problem}; {remedy}")
