"""Publishing in a bucket: an upload and a version become one line of the volume's log.

No look at the head comes before. The line follows the newest one that this process knows, so
whoever is late hears it from the append.

What a line relies on must be there as long as the line counts. gc raises the *era* of a log when it
condemns packs. An upload remembers the era up to which its objects were checked, and no line is
sent under a higher one: whoever read the log meanwhile, the checks come first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import NamedTuple

from volfs.errors import HeadMovedError, LeaseLostError
from volfs.model.logs.line import encode_line
from volfs.model.logs.volume_changes import VersionPublished, carry
from volfs.model.logs.volume_log import VolumeState, check_version
from volfs.model.segments.packs_named import NamedPack, name_line
from volfs.model.text import to_stored
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head
from volfs.store.distributed.data.bucket_data import BucketData
from volfs.store.distributed.data.bucket_objects import BucketObjects
from volfs.store.distributed.data.bucket_upload import BucketUpload, Shipment
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.refs.volume_logs import find_head, require
from volfs.store.distributed.refs.volume_view import (
    VolumeBook,
    to_logged,
    to_logged_segment,
)
from volfs.system.world import World

NO_ERA = -1
"""The era of an upload that is older than its volume."""
MOST_PAUSE = 1.0
"""Seconds that a writer waits at most after a lost race."""


class GcFacts(NamedTuple):
    """What a publisher asks of others when the era of its log has risen."""

    find_condemned: Callable[[int, int | None], Collection[str]]
    """The packs that gc has condemned in the eras after the first number, up to the second, or up
    to the newest."""
    is_in_force: Callable[[Lease], bool]
    """Whether a lease that this process has put is still in force."""


class HeadToPublish(NamedTuple):
    """What is to be published: arguments of ``Refs.publish``."""

    expected: Head
    new: Head
    shares: tuple[int, ...] = ()
    lease: Lease | None = None
    upto: int = 0
    """The line of the volume's log up to which the log of the lease has everything."""


class VolumePublisher:
    """Publishes in one volume. Thread-safe; each upload is for one thread."""

    def __init__(self, book: VolumeBook, facts: GcFacts, world: World) -> None:
        self._book = book
        self._facts = facts
        self._world = world
        self._losses = 0
        """Races that were lost since one was won."""
        self._seconds = 0.0
        """How long the last append took."""
        self._ended = threading.Event()

    def open_upload(self, data: BucketData, objects: BucketObjects) -> BucketUpload:
        """Begin an upload. What it relies on is checked from the present era on.

        If there is no volume yet, no fence can tell the upload anything. Then all that gc has
        condemned is looked at once the volume is there.
        """
        known = self._book.follower.known
        upload = data.open_upload(self._book.volume_id, self._book, objects)
        upload.era = NO_ERA if known.state is None else known.era
        return upload

    def publish(self, upload: BucketUpload, publication: HeadToPublish) -> None:
        """Publish, as ``Refs.publish`` promises.

        HeadMovedError: the upload stays usable. LeaseLostError if the lease on which the version
        stands was revoked. StoreUncertainError if it is not known whether it was published.
        """
        while True:
            known = self._book.follower.known
            check_head(require(self._book.volume_id, known.state), publication)
            self._catch_up(upload, known, publication.lease)
            shipment = upload.ship()
            if self._book.follower.known.number > known.number:
                continue  # Others have read on. What was shipped is checked again.
            if self._append(upload, known, shipment, publication):
                self._losses = 0
                return
            self._pause()

    # --- inside --------------------------------------------------------------------

    def _append(
        self,
        upload: BucketUpload,
        known: KnownLog[VolumeState | None],
        shipment: Shipment,
        publication: HeadToPublish,
    ) -> bool:
        began = self._world.now()
        change = make_change(shipment, publication)
        won = self._book.follower.propose(known, [change], shipment.records)
        self._seconds = self._world.now() - began
        if won is None:
            return False
        name, data = name_line(self._book.volume_id, won.known.number), encode_line(won.line)
        count = shipment.record_count
        upload.arrive(NamedPack(name, len(data), won.line.first_record, count), data)
        return True

    def _catch_up(
        self, upload: BucketUpload, known: KnownLog[VolumeState | None], lease: Lease | None
    ) -> None:
        """Make the checks that are due because the era has risen since the upload was checked.

        What was relied on in packs that are closed now is put again by ``ship``.
        """
        if known.era == upload.era:
            return
        self._check_lease(require(self._book.volume_id, known.state), lease)
        is_older = upload.era == NO_ERA
        after, upto = (0, None) if is_older else (upload.era, known.era)
        upload.replace(self._facts.find_condemned(after, upto))
        upload.era = known.era

    def _check_lease(self, state: VolumeState, lease: Lease | None) -> None:
        """LeaseLostError if what the change stands on is kept by nothing any more."""
        if lease is None or all(map(state.versions.has, lease.versions)):
            return
        if not self._facts.is_in_force(lease):
            raise LeaseLostError(
                "the lease of this mount was revoked, and the version that the changes stand on is "
                "gone; the changes are kept: see `volfs overlays`"
            )

    def _pause(self) -> None:
        """Wait after a lost race, the longer the more were lost."""
        self._losses += 1
        most = min(MOST_PAUSE, self._losses * self._seconds)
        self._world.pause(self._world.uniform(0.0, most), self._ended)


def check_head(state: VolumeState, publication: HeadToPublish) -> None:
    """HeadMovedError unless the head is the expected one; NotFoundError for a version that the new
    one shares content with."""
    head = state.versions.head
    if head != publication.expected.version:
        raise HeadMovedError(f"the head is version {head}, not {publication.expected.version}")
    if find_head(state).manifest != publication.expected.manifest:
        raise HeadMovedError(f"the head, version {head}, is another than expected")
    for version in publication.shares:
        check_version(state, version)


def make_change(shipment: Shipment, publication: HeadToPublish) -> VersionPublished:
    """The change that a line with this shipment makes."""
    expected, new, shares, lease, upto = publication
    change = VersionPublished(
        new.version,
        bytes(new.manifest),
        expected.version,
        session=to_stored(lease.session) if lease else "",
        over=lease.over if lease else b"",
        needs=tuple((need.kind, bytes(need.oid)) for need in lease.needs) if lease else (),
        upto=upto,
        packs=tuple(map(to_logged, shipment.packs)),
        relies=shipment.relies,
        shares=tuple(sorted(shares)),
        segments=tuple(map(to_logged_segment, shipment.segments)),
    )
    return carry(change, shipment.record_count, len(shipment.records))
