"""The version that a mount begins with: leased and loaded, by one lease that has all it needs."""

from __future__ import annotations

import msgspec

from volfs.errors import DataError, NotFoundError
from volfs.model.manifest import Snapshot
from volfs.model.names import is_head
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import get_version
from volfs.volume.leases import snapshot_needs
from volfs.volume.version_reader import Reader


def keep_loaded(
    store: Store, volume: VolumeRecord, lease: Lease, at: str
) -> tuple[Head, Snapshot, Lease]:
    """The version that ``at`` names, what it has, and a lease on it, which is put.

    The head is guessed first, and the guess counts if it is the head once the lease is there. The
    version is loaded before that. Raises what ``get_version`` raises; DataError.
    """
    load = Reader(store.objects_of(volume.id).load_object).load_manifest
    former: Head | None = None
    is_guess = is_head(at)
    while True:
        guessed, is_guess = is_guess, False
        guess = store.refs.guess_head(volume.id) if guessed else None
        head = guess or get_version(store.refs, volume, at)
        try:
            snapshot = load(head.manifest).snapshot
            wide = msgspec.structs.replace(
                lease, versions=(head.version,), needs=tuple(sorted(snapshot_needs(snapshot)))
            )
            store.leases.put(wide)
        except (NotFoundError, DataError):
            # It was expired since it was found, unless it is found again.
            if not guessed and head == former:
                raise
            former = None if guessed else head
            continue
        if not guessed or store.refs.guess_head(volume.id) == head:
            return head, snapshot, wide
