"""What is in use in each pack, by each volume's own table of packs.

An object may lie in several packs of a volume. One of these places *counts*: one in an open pack
before one in a closed pack, and then the latest. gc keeps the place that counts, and the records at
the other places are dead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import ObjectNotFoundError
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.pack_table import PackInUse
from volfs.model.logs.volume_log import VolumeState
from volfs.model.logs.whole_bytes import CHECKSUM_SIZE
from volfs.model.objects import Kind, Oid
from volfs.model.oid_set import OidSet
from volfs.model.pack import PACK_HEADER_SIZE, RECORD_HEADER_SIZE
from volfs.model.segments.footer import Footer
from volfs.model.segments.packs_named import NamedPack
from volfs.store.contract.care import Live
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.data.volume_packs import find_key
from volfs.store.distributed.refs.condemned_packs import is_usable
from volfs.store.distributed.refs.volume_view import to_named
from volfs.store.holds import PREFIX_SIZE


class PackMarks:
    """The records of one pack, and which of them are in use."""

    def __init__(self, pack: NamedPack, footer: Footer) -> None:
        self.pack = pack
        self.live: set[int] = set()
        """The numbers of the records in use, by the order of the footer."""
        self.is_pinned = False
        """Whether a deleted volume needs the pack, whose log cannot be told of a copy."""
        self.live_bytes = 0
        """Stored bytes of the records in use, with their headers."""
        self._count = len(footer)

    @property
    def dead_objects(self) -> int:
        return self._count - len(self.live)

    @property
    def record_bytes(self) -> int:
        """The bytes of all records, with their headers."""
        return count_record_bytes(self.pack)

    def mark(self, number: int, footer: Footer) -> None:
        if number not in self.live:
            self.live.add(number)
            self.live_bytes += RECORD_HEADER_SIZE + footer[number].header.stored


class VolumeUse(NamedTuple):
    """A volume whose packs are to be marked."""

    volume_id: str
    state: VolumeState
    gc: GcState

    def list_usable(self) -> list[PackInUse]:
        """The packs that are there by all that is known, the one whose places count first.

        A closed pack is there as long as gc has neither doomed nor forgotten it.
        """
        rows = [row for row in self.state.packs.packs.values() if is_usable(row, self.gc)]
        return sorted(rows, key=_rank, reverse=True)


def _rank(row: PackInUse) -> tuple[bool, int, str]:
    return row.is_open, row.line, row.pack.name


class Marker:
    """Marks the packs of one look."""

    def __init__(self, bucket: Bucket, finder: PlaceFinder, live: Live) -> None:
        self._bucket = bucket
        self._finder = finder
        self._live = live
        self.packs: dict[str, PackMarks] = {}

    def mark_volume(self, use: VolumeUse) -> None:
        """Mark what one volume has in use. DataError if any footer cannot be read; StoreError."""
        taken = OidSet()
        for row in self._list_rows(use):
            self._mark_pack(to_named(row.pack), taken, is_pinned=use.state.is_deleted)

    def mark_all(self, uses: Iterable[VolumeUse]) -> dict[str, PackMarks]:
        for use in uses:
            self.mark_volume(use)
        return self.packs

    def list_held(self, use: VolumeUse, held: Collection[bytes]) -> list[Oid]:
        """The manifests of a volume whose ids begin so."""
        rows = self._list_rows(use)
        footers = (self._finder.load_footer(to_named(row.pack)) for row in rows)
        return [
            record.oid
            for footer in footers
            for record in footer
            if record.header.kind is Kind.MANIFEST and record.oid[:PREFIX_SIZE] in held
        ]

    def _list_rows(self, use: VolumeUse) -> list[PackInUse]:
        """The packs of a volume that are there, the one whose places count first."""
        rows = use.list_usable()
        if use.state.is_deleted:
            rows = [row for row in rows if self._is_there(to_named(row.pack))]
        return rows

    def _mark_pack(self, pack: NamedPack, taken: OidSet, *, is_pinned: bool) -> None:
        footer = self._finder.load_footer(pack)
        marks = self.packs.setdefault(pack.name, PackMarks(pack, footer))
        for number in range(len(footer)):
            oid = footer.get_id(number)
            if oid in self._live and taken.add(oid):
                marks.mark(number, footer)
                marks.is_pinned |= is_pinned

    def _is_there(self, pack: NamedPack) -> bool:
        """Whether a deleted volume still has a pack. Its log cannot say so."""
        try:
            return self._bucket.head(find_key(pack.name)).size == pack.length
        except ObjectNotFoundError:
            return False


def count_record_bytes(pack: NamedPack) -> int:
    """The bytes of a pack's records, with their headers."""
    if pack.is_line:
        return pack.length - CHECKSUM_SIZE - pack.footer
    return pack.footer - PACK_HEADER_SIZE
