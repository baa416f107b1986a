"""Refs: volumes, their versions, tags and heads. Nothing else in a store changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

import msgspec

from volfs.model.names import MAIN, join_name
from volfs.model.objects import Oid
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Upload


class VolumeRecord(msgspec.Struct, frozen=True):
    """The facts of a volume. Only its name and environment can change.

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
    """The default interval of background commits of mounts, in seconds. None means no background
    commits."""
    environment: str = MAIN
    """The environment in which the name is unique."""

    @property
    def full_name(self) -> str:
        """The volume's name for people and commands, with its environment unless that is
        ``main``."""
        return join_name(self.environment, self.name)

    @property
    def is_network(self) -> bool:
        """Whether the volume is a network file system: its mounts publish and follow by
        themselves."""
        return self.id.startswith("sv-")


class Head(NamedTuple):
    """A volume's newest version. Version 0 is the empty tree that the volume was created with."""

    version: int
    manifest: Oid


class Tag(NamedTuple):
    """A name for one version of one volume. The version stays as long as a tag names it."""

    name: str
    version: int


def describe_missing(name: str, environment: str) -> str:
    """The message for a name that no volume has."""
    if environment == MAIN:
        return f"{name}: no such volume; `volfs list` shows what there is"
    return (
        f"{name}: no such volume in environment '{environment}'; "
        f"`volfs list -e {environment}` shows what there is"
    )


class Refs(Protocol):
    """The volumes of a store. Each change happens as a whole, and durably, or not at all."""

    # --- volumes ---------------------------------------------------------

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        """Add a volume whose version 0 is this encoded manifest.

        AlreadyExistsError if the environment has a volume of this name.
        """

    def get_volume(self, name: str, environment: str = MAIN) -> VolumeRecord:
        """The volume of this name. NotFoundError."""

    def find_volume_by_id(self, volume_id: str) -> VolumeRecord | None: ...

    def list_volumes(self) -> list[VolumeRecord]:
        """The volumes of all environments, newest first."""

    def rename_volume(
        self, old: str, new: str, environment: str = MAIN, to: str | None = None
    ) -> None:
        """Give a volume another name, and another environment if ``to`` names one. The id stays.

        NotFoundError; AlreadyExistsError.
        """

    def rename_environment(self, old: str, new: str) -> None:
        """Move the volumes of an environment to another one, all or none. AlreadyExistsError."""

    def fork_volume(
        self, record: VolumeRecord, manifests: tuple[bytes, bytes], source: str, version: int
    ) -> None:
        """Add a volume with versions 0 and 1, where version 1 has the content of another volume's
        version.

        ``source`` is the other volume's id, and ``version`` the version there. NotFoundError if
        that version is gone at the moment when the fork is made; AlreadyExistsError if the name is
        taken.
        """

    def delete_volume(self, name: str, environment: str = MAIN) -> None:
        """Remove the record, the versions, the tags and the head. The objects stay until gc.

        NotFoundError; VolumeInUseError if there is a lease on the volume.
        """

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        """The newest version. NotFoundError if the volume is gone."""

    def guess_head(self, volume_id: str) -> Head:
        """The newest version that is known without asking. It may be out of date.

        It is one that ``get_head`` has returned, or a newer one. Only a ``publish`` onto it tells
        whether the head has moved since. NotFoundError.
        """

    def find_head_ready(self, volume_id: str) -> Head | None:
        """As ``get_head``, but None if the answer would need a network."""

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        """The id of a version's manifest, or None."""

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        """All versions, newest first."""

    def remove_versions(self, volume_id: str, versions: Collection[int]) -> list[int]:
        """Take versions out of the history all at once, and return those that were taken,
        ascending.

        The head, tagged versions, and leased or held versions stay. NotFoundError if the volume is
        gone.
        """

    # --- tags ------------------------------------------------------------

    def put_tag(self, volume_id: str, tag: str, version: int, *, move: bool = False) -> None:
        """Name a version. NotFoundError if the version is not there.

        AlreadyExistsError if the tag names another version, unless it may ``move``.
        """

    def list_tags(self, volume_id: str) -> list[Tag]:
        """The tags of a volume, by name."""

    def delete_tag(self, volume_id: str, tag: str) -> None:
        """Remove a tag. NotFoundError if there is no such tag."""

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

        ``new.version`` is the next number, or a later one: a replica lacks what was expired in its
        original.

        When this returns, everything that ``upload`` put is durable and can be found, ``new`` is a
        version, and ``lease`` is the lease of its session. The lease is durable before the head
        moves, or together with it. It never keeps less than the head needs.

        The head moves only while these are there: ``new.manifest``, every object that the upload
        was told of as already known, and the versions ``shares``, because the new version has
        parts of them that the upload was not told of.

        HeadMovedError if the head is not ``expected``: the upload stays usable, so put the redone
        merge and publish again. NotFoundError if the volume, one of ``shares`` or a version of the
        lease is gone; OutOfSpaceError; StoreError. After any error nothing has moved.
        """
