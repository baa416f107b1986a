"""A store: one of each part of the contract, at one address."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from volfs.store.contract.care import Care
from volfs.store.contract.leases import Leases
from volfs.store.contract.objects import Objects, Upload
from volfs.store.contract.refs import Refs


class Store(Protocol):
    """An open store. Close it after use. The process must not fork while it is open."""

    @property
    def url(self) -> str:
        """The address of the store, in the form that is handed on to other processes."""

    @property
    def local(self) -> Path:
        """The directory of this machine in which the store's sessions are.

        It is the store's own directory if the store is a directory.
        """

    @property
    def is_writable(self) -> bool:
        """Whether this process can change the store. If not, the store is shown as it was when it
        was opened, leases last as long as this process, and every change raises
        StoreDeniedError."""

    @property
    def unreachable_since_ns(self) -> int | None:
        """The time of day, in nanoseconds, since which the store has not answered. None if it did
        when it was asked last, and for a store whose disk either answers or hangs."""

    def check_writable(self) -> None:
        """Raise StoreDeniedError, with the reason, if the store is not writable."""

    def objects_of(self, volume_id: str) -> Objects:
        """The objects that the versions and leases of a volume need.

        Whether the answer finds other objects as well, and whether there is such a volume, is not
        promised.
        """

    def open_upload(self, volume_id: str) -> Upload:
        """Begin an upload of objects that will be published in this volume."""

    @property
    def refs(self) -> Refs: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def care(self) -> Care: ...

    def close(self) -> None: ...
