"""Bringing a store of a former volfs to today's format: docs/decisions/0032.

The format file comes first, at once. Then each volume gets a version that differs from its newest
one only in having all sums, which a former volfs did not write. If an upgrade dies, the next one
goes on where it stopped.
"""

from __future__ import annotations

from typing import NamedTuple

from volfs.errors.fault_points import reached
from volfs.model.progress import Report, report_nothing
from volfs.store.contract.care import GcReport
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store, upgrade_format
from volfs.volume.adding_sums import add_sums, has_sums
from volfs.volume.commit import CommitNote, CommitTarget, publish_snapshot
from volfs.volume.gc import DEFAULT_GRACE, collect_garbage
from volfs.volume.version_reader import Reader

MESSAGE = "upgrade: count bytes of data and hard links"


class Upgraded(NamedTuple):
    was_former: bool
    """Whether the store had the former format until now."""
    converted: dict[str, int]
    """The new versions of volumes that got one, by full name."""
    collected: GcReport | None = None
    """With ``rewrite``, the result of the garbage collection that rewrote packs."""


def upgrade_store(
    url: str,
    *,
    rewrite: bool = False,
    grace: float = DEFAULT_GRACE,
    report: Report = report_nothing,
) -> Upgraded:
    """Upgrade a store. With ``rewrite``, also store anew what a former volfs stored, so that it
    can be read in parts.

    Rewriting takes as much room as it frees after ``grace`` seconds. StoreUnavailableError if a
    store of the former format is open anywhere; ConflictError while gc runs.
    """
    was_former = upgrade_format(url)
    store = open_store(url)
    try:
        converted = {}
        for volume in store.refs.list_volumes():
            version = convert_volume(store, volume, report)
            if version is not None:
                converted[volume.full_name] = version
        collected = None
        if rewrite:
            collected = collect_garbage(store, grace=grace, renew=True, report=report)
        return Upgraded(was_former, converted, collected)
    finally:
        store.close()


def convert_volume(
    store: Store, volume: VolumeRecord, report: Report = report_nothing
) -> int | None:
    """Publish a version with all sums, and return its number; None if the newest version has
    them."""
    while True:
        head = store.refs.get_head(volume.id)
        with store.open_upload(volume.id) as upload:
            reader = Reader(upload.load_object)
            snapshot = reader.load_manifest(head.manifest).snapshot
            if has_sums(snapshot):
                return None
            wanted = add_sums(reader, upload.put_object, snapshot, report)
            reached("upgrade.converted")
            note, shares = CommitNote(MESSAGE), (head.version,)
            target = CommitTarget(store, upload, volume)
            new = publish_snapshot(target, head, wanted, note, shares=shares)
        if new is not None:
            return new.version
