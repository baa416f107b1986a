"""The version that a mount shows underneath, read without ever waiting."""

from __future__ import annotations

from volfs.model.entry import Entry
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.objects import Oid
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head
from volfs.volume.version_reader import Reader

FETCHED_MAX = 64
"""The number of fetched objects that are kept: more than there are fetches at a time."""


class Miss(Exception):  # noqa: N818 - not an error: a request to fetch and run again
    """An operation needs an object that is not at hand; nothing has been changed."""

    def __init__(self, oid: Oid) -> None:
        super().__init__(oid.hex())
        self.oid = oid


class View:
    """A version and the objects below it. ``reader`` raises ``Miss`` instead of waiting.

    ``head`` names the published version that the snapshot stands on. After a commit the snapshot
    is our own local tree, and need not be equal to the version of ``head``.
    """

    def __init__(self, objects: Objects, head: Head, snapshot: Snapshot, sub_path: Path) -> None:
        self.objects = objects
        self.head = head
        self.snapshot = snapshot
        self.sub_path = sub_path
        self.reader = Reader(self._load_ready)
        self._fetched: dict[Oid, bytes] = {}

    def _load_ready(self, oid: Oid) -> bytes:
        data = self._fetched.pop(oid, None) or self.objects.load_object_ready(oid)
        if data is None:
            raise Miss(oid)
        return data

    def fetch(self, oid: Oid) -> bytes:
        """Load an object, and wait as long as that takes. Called in a thread."""
        return self.objects.load_object(oid)

    def keep(self, oid: Oid, data: bytes) -> None:
        """Keep an object ready for the next read of it.

        That read may never come: another operation was faster, or the one that asked has failed.
        """
        self._fetched.pop(oid, None)
        self._fetched[oid] = data
        if len(self._fetched) > FETCHED_MAX:
            self._fetched.pop(next(iter(self._fetched)))

    def find_root(self, snapshot: Snapshot) -> Entry | None:
        """The directory that a mount of this view shows as its root. Miss."""
        entry = self.reader.find_path(snapshot, self.sub_path)
        return entry if entry is not None and entry.is_directory else None
