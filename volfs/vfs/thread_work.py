"""The blocking parts of flush, commit and reload. They run in threads, and do not touch the mount's
state."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import msgspec

from volfs.errors import NotFoundError
from volfs.errors.fault_points import reached
from volfs.model.entry import with_content
from volfs.model.manifest import Snapshot
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.bases import has_all
from volfs.vfs.catalog import Catalog, Flush
from volfs.vfs.overlay import SealedGeneration
from volfs.vfs.scratch import Scratch, Summed
from volfs.volume.commit import CommitNote, CommitTarget, DeltaBase, Published, commit_delta
from volfs.volume.content_writer import ContentWriter, ReadScratch
from volfs.volume.leases import keep_version, snapshot_needs
from volfs.volume.version_reader import Reader


def write_flush(
    scratch: Scratch, catalog: Catalog, flush: Flush, committed: int = 0
) -> list[Summed]:
    """Write scratch, then the records that refer to it. In a thread. OutOfSpaceError;
    StoreError."""
    scratch.sync(committed)
    reached("flush.synced")
    summed = scratch.sum_up(flush.works, committed)
    catalog.write(flush, summed, committed)
    reached("flush.recorded")
    return summed


def load_head(store: Store, volume: VolumeRecord, lease: Lease) -> tuple[Head, Snapshot, Lease]:
    """The newest version, and a lease that includes it.

    The version is loaded while the lease is put, and counts once the lease is there.
    """
    load = Reader(store.objects_of(volume.id).load_object).load_manifest
    newest = store.refs.get_head(volume.id)
    heads = chain((newest,), iter(lambda: store.refs.get_head(volume.id), None))
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, newest.manifest)
        head, wide = keep_version(store.leases, lease, lambda: next(heads))
        manifest = loading.result() if head == newest else load(head.manifest)
    return head, manifest.snapshot, wide


def lease_anew(
    store: Store, volume: VolumeRecord, lease: Lease, head: Head, snapshot: Snapshot
) -> bool:
    """Put a lease of a new life on a version. False, and nothing is put, if the version is not
    there any more, or has not all that the lease needs."""
    if store.refs.find_version(volume.id, head.version) != head.manifest:
        return False
    try:
        store.leases.put(msgspec.structs.replace(lease, needs=snapshot_needs(snapshot)))
    except NotFoundError:
        return False
    if has_all(store.objects_of(volume.id), head, snapshot, lease.needs):
        store.leases.put(lease)
        return True
    store.leases.drop(lease.session)
    return False


def commit_generation(
    store: Store,
    volume: VolumeRecord,
    base: DeltaBase,
    sealed: SealedGeneration,
    read_scratch: ReadScratch,
    note: CommitNote,
) -> Published:
    """Write the content of the sealed files, then commit. In a thread. The mount's state is not
    touched."""
    with store.open_upload(volume.id) as upload, ThreadPoolExecutor(os.cpu_count()) as pool:
        writer = ContentWriter(store.objects_of(volume.id), upload, volume.chunk_bits, pool)
        for file in sealed.files:
            sealed.writing = file
            content = writer.write(file.base, file.extents, read_scratch)
            file.written = with_content(file.entry, content)
            file.place(file.written)
        sealed.writing = None
        return commit_delta(CommitTarget(store, upload, volume), base, sealed.delta, note)
