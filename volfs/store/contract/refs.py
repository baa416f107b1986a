"""Refs: volumes, their versions, tags and heads, which are all that changes in a store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

import msgspec

from volfs.model.names import MAIN, join_name
from volfs.model.objects import Oid
from volfs.store.contract.leases import Lease
from volfs.store.contract.objects import Upload


class VolumeRecord(msgspec.Struct, frozen=True):
    """A volume's unchanging facts.

    ``id`` is ``vo-``, or ``sv-`` for a network file system, and 22 base62 characters.
    """

    id: str
    name: str
    profile: int
    """1 or 2: see ``model/profile.py``."""
    chunk_bits: int
    """New file content is cut at multiples of ``1 << chunk_bits`` bytes."""
    created_ns: int
    created_by: str
    auto_commit: float | None = None
    """Default interval of mounts in seconds, or None: no background commits."""
    environment: str = MAIN
    """In which its name is unique."""

    @property
    def full_name(self) -> str:
        """Its name, for people and commands, with its environment where that is not ``main``."""
        return join_name(self.environment, self.name)

    @property
    def is_network(self) -> bool:
        """Whether it is a network file system: its mounts publish and follow by themselves."""
        return self.id.startswith("sv-")


class Head(NamedTuple):
    """A volume's newest version. Version 0 is the empty tree it was created with."""

    version: int
    manifest: Oid


class Tag(NamedTuple):
    """A name for one version of one volume, which stays as long as it is named."""

    name: str
    version: int


class Refs(Protocol):
    """The volumes of a store. A change is there as a whole, and durable, or not at all."""

    # --- volumes ---------------------------------------------------------

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        """Add a volume whose version 0 is this encoded manifest.

        AlreadyExistsError if its environment has one of its name.
        """

    def get_volume(self, name: str, environment: str = MAIN) -> VolumeRecord:
        """NotFoundError."""

    def find_volume_by_id(self, volume_id: str) -> VolumeRecord | None: ...

    def list_volumes(self) -> list[VolumeRecord]:
        """Of all environments, newest first."""

    def rename_volume(
        self, old: str, new: str, environment: str = MAIN, to: str | None = None
    ) -> None:
        """Give a volume another name, and perhaps another environment ``to``. Keeps the id.

        NotFoundError; AlreadyExistsError.
        """

    def rename_environment(self, old: str, new: str) -> None:
        """Give the volumes of an environment another one, all or none. AlreadyExistsError."""

    def fork_volume(
        self, record: VolumeRecord, manifests: tuple[bytes, bytes], source: str, version: int
    ) -> None:
        """Add a volume with the versions 0 and 1, of which 1 has what a version of another has.

        ``source`` is the other volume's id. NotFoundError if its version is not there at the
        moment in which the fork comes to be; AlreadyExistsError by name.
        """

    def delete_volume(self, name: str, environment: str = MAIN) -> None:
        """Remove the record, the versions, the tags and the head. Objects stay for gc.

        NotFoundError; VolumeInUseError if there is a lease on it.
        """

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        """NotFoundError where the volume is gone."""

    def guess_head(self, volume_id: str) -> Head:
        """The newest version that is known without asking: it may not be the newest any more.

        It is one that ``get_head`` has told, or a newer one. Only a ``publish`` onto it tells
        whether the head has moved since. NotFoundError.
        """

    def find_head_ready(self, volume_id: str) -> Head | None:
        """As ``get_head``, but None where it would wait for a network."""

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        """The manifest of a version."""

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        """All versions, newest first."""

    def remove_versions(self, volume_id: str, versions: Collection[int]) -> list[int]:
        """Take versions out of the history, all at once; those that were, ascending.

        The head, what a tag names and what is leased or held stays. NotFoundError if
        the volume is gone.
        """

    # --- tags ------------------------------------------------------------

    def put_tag(self, volume_id: str, tag: str, version: int, *, move: bool = False) -> None:
        """Name a version. NotFoundError if it is not there.

        AlreadyExistsError if the tag names another version, unless it may ``move``.
        """

    def list_tags(self, volume_id: str) -> list[Tag]:
        """By name."""

    def delete_tag(self, volume_id: str, tag: str) -> None:
        """NotFoundError if there is no such tag."""

    # --- publishing ------------------------------------------------------

    def publish(
        self,
        upload: Upload,
        volume_id: str,
        expected: Head,
        new: Head,
        *,
        shares: Collection[int] = (),
        lease: Lease | None = None,
    ) -> None:
        """The one compare-and-swap: make the upload durable, then move the head.

        When this returns, everything that ``upload`` put is durable and can be found, ``new``
        is a version, and ``lease`` is the lease of its session. The lease is durable before
        the head moves, or with it; it never keeps less than the head needs.

        The head moves only while these are there: ``new.manifest``, every object that the
        upload was told of as already known, and the versions ``shares``, of which the new one
        has parts that the upload was not told of.

        HeadMovedError if the head is not ``expected`` (the upload stays usable: put the
        redone merge and publish again); NotFoundError if the volume, one of ``shares`` or a
        version of the lease is gone; OutOfSpaceError; StoreError. On any error nothing moved.
        """
