"""Publishing in the embedded engine: one durable transaction for a batch, a ref and a lease."""

from __future__ import annotations

from typing import NamedTuple

from volfs.errors.fault_points import reached
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Upload
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.refs.leases import LeaseRows
from volfs.store.embedded.refs.refs import Creation, HeadMove, RefRows
from volfs.store.packs.upload import Batch, PackUpload


class Publication(NamedTuple):
    """The changes of one transaction: objects are indexed, a ref leads to them, a lease is put."""

    batch: Batch
    ref: Creation | HeadMove
    lease: Lease | None = None


class Publisher:
    """Publishes uploads. Thread-safe."""

    def __init__(self, index: Index, refs: RefRows, leases: LeaseRows) -> None:
        self._index = index
        self._refs = refs
        self._leases = leases

    def run(self, upload: Upload, ref: Creation | HeadMove, lease: Lease | None = None) -> None:
        """Make the upload durable, then index it and change the ref. After any error neither is
        done.

        Errors as for ``RefRows.change`` and ``Index.put_batch``. NotFoundError for a version of
        ``lease``; StoreReplacedError if the packs are no longer in the store.
        """
        if not isinstance(upload, PackUpload) or not upload.belongs_to(self._index):
            raise ValueError("an upload of another store")
        with upload.made_durable() as batch:
            self._apply(Publication(batch, ref, lease), upload)

    def _apply(self, publication: Publication, upload: PackUpload) -> None:
        batch, ref, lease = publication
        with self._index.environment.write(batch.reserve) as txn:
            manifest = self._refs.change(txn, ref)
            if lease is not None:
                self._leases.put_in(txn, lease)
            relied = self._index.put_batch(txn, batch, manifest)
            reached("publish.unmoved")
            upload.prove(relied)
        # The packs that were relied on may be gone by now, because gc moves their objects. So only
        # the written ones are proven again.
        upload.prove({})
