"""A store: one of each part of the contract, at one address."""

from __future__ import annotations

from typing import Protocol

from volfs.store.contract.care import Care
from volfs.store.contract.leases import Leases
from volfs.store.contract.objects import Objects, Upload
from volfs.store.contract.refs import Refs


class Store(Protocol):
    """An open store. Close it when done; the process must not fork with it open."""

    @property
    def url(self) -> str:
        """The address, as it is handed on to other processes."""

    @property
    def is_writable(self) -> bool:
        """Whether it can be changed from here. If not, it is as it was when it was opened,
        leases last as long as this process, and whatever changes it is a StoreDeniedError."""

    def check_writable(self) -> None:
        """StoreDeniedError, which says why, for a store that is not writable."""

    @property
    def objects(self) -> Objects: ...

    @property
    def refs(self) -> Refs: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def care(self) -> Care: ...

    def open_upload(self) -> Upload: ...

    def close(self) -> None: ...
