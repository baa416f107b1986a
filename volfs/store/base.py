"""The contract of a store: what every engine promises, and nothing else knows more.

A store holds two sorts of things: immutable *objects* by id, and *refs*: the
volumes' records, their version tables and heads, and the leases of sessions.
Everything here blocks and may be called from any thread. ``tests/store`` runs
one contract suite over every engine.

Order of writing (docs/format.md): packs, index, manifest, ref. A ref never
points at what is not durable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, Self

import msgspec

from volfs.model.names import MAIN, join_name
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.references import Reference
from volfs.store.care import GcOptions, GcProgress, GcReport, Live, RepairReport, Undeleted


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


class Named(NamedTuple):
    """What is known of a volume's names beside the index."""

    name: str | None
    """Its full name, if one was given later than at its creation; empty where it was deleted."""
    tags: dict[str, int]


class Tag(NamedTuple):
    """A name for one version of one volume, which stays as long as it is named."""

    name: str
    version: int


Need = Reference
"""An object that somebody relies on, and with it everything below it."""


class Lease(msgspec.Struct, frozen=True):
    """What a session relies on. gc keeps the needs, whatever versions there are.

    A mount's view may be a tree that no version has (docs/decisions/0009), and
    its overlay may lie on content of views that it left: both are needs.
    """

    session: str
    """``sessions/places.py`` says how sessions are called; one has one lease."""
    volume_id: str
    versions: tuple[int, ...] = ()
    """Those that the session shows or stands on: they count as mounted."""
    needs: tuple[Need, ...] = ()
    began_ns: int = 0
    """When this life of the session began: no two lives have equal leases."""
    over: bytes = b""
    """The stamp of the catalog when what was published last was sealed: while the catalog
    still has it, all that it has recorded is published."""
    onward: bool = False
    """Whether all from the oldest of ``versions`` on stay: the session follows the head."""

    def has(self, version: int) -> bool:
        """Whether a version stays for this lease's sake."""
        if self.onward and self.versions:
            return version >= min(self.versions)
        return version in self.versions


class Space(NamedTuple):
    """Bytes of the disk that stores new data; what ``statvfs`` reports."""

    total: int
    free: int


class Damage(NamedTuple):
    """One finding of ``iter_damage``. ``oid`` is None where it cannot be known."""

    oid: Oid | None
    where: str
    """Pack and offset, or the index record, in words."""
    problem: str


class CheckProgress(NamedTuple):
    """How far ``iter_damage`` is, in stored bytes."""

    done: int
    total: int


class Objects(Protocol):
    """Immutable objects by id. The first read of a stored record verifies its checksum."""

    def contains(self, oid: Oid) -> bool:
        """Whether the object is published, and not removed by gc. Does not read it."""

    def load_object(self, oid: Oid) -> bytes:
        """All canonical bytes. MissingObjectError; DamagedObjectError; StoreError."""

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer:
        """``length`` bytes from ``offset``; both must lie inside the object.

        Same errors as ``load_object``; a range outside is a DamagedObjectError,
        for it is the referring extent that lies.
        """

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        """As ``read_object``, but None where it would wait: disk, network, much decoding."""

    def load_object_ready(self, oid: Oid) -> bytes | None:
        """As ``load_object``, but None where it would wait for a disk or a network."""

    def prefetch(self, oid: Oid) -> None:
        """Hint that the object will be read soon. Never fails, never waits."""


class Upload(Protocol):
    """Objects on their way into the store; invisible to others until published.

    A context manager: leaving it without publishing forgets them (they may stay
    as unreferenced bytes for gc). Thread-safe: many threads may put at once.
    """

    new_objects: int
    new_bytes: int
    """Objects and stored bytes that were not known before."""

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        """Keep an object. Known ones are not written again. OutOfSpaceError; StoreError."""

    def load_object(self, oid: Oid) -> bytes:
        """As ``Objects.load_object``, and it also sees what this upload has put."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """Objects and refs. Close it when done; the process must not fork with it open."""

    url: str
    objects: Objects

    @property
    def is_writable(self) -> bool:
        """Whether it can be changed from here. If not it is as it was when it was opened,
        leases last as long as this process, and all that changes it is a StoreDeniedError."""

    def check_writable(self) -> None:
        """StoreDeniedError, which says why, for a store that is not writable."""

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

        ``source`` is the other volume's id. In one step, in which its version is
        proven to be there: NotFoundError. AlreadyExistsError by name.
        """

    def delete_volume(
        self, name: str, stale: Collection[str] = (), environment: str = MAIN
    ) -> None:
        """Remove the record, the versions, the tags and the head. Objects stay for gc.

        NotFoundError; VolumeInUseError if a session has a lease on it, but those of
        ``stale`` ones.
        """

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        """NotFoundError where the volume is gone."""

    def find_head_ready(self, volume_id: str) -> Head | None:
        """As ``get_head``, but None where it would wait for a network."""

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        """The manifest of a version."""

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        """All versions, newest first."""

    def remove_versions(self, volume_id: str, versions: Collection[int]) -> list[int]:
        """Take versions out of the history, in one step; those that were, ascending.

        The head, what a tag names and what is leased or held stays. NotFoundError if
        the volume is gone.
        """

    # --- tags ------------------------------------------------------------

    def put_tag(self, volume_id: str, tag: str, version: int, *, move: bool = False) -> None:
        """Name a version. NotFoundError if it is not there.

        AlreadyExistsError if the tag names another version, unless it may ``move``.
        """

    def find_tag(self, volume_id: str, tag: str) -> int | None:
        """The version that a tag names."""

    def list_tags(self, volume_id: str) -> list[Tag]:
        """By name."""

    def delete_tag(self, volume_id: str, tag: str) -> None:
        """NotFoundError if there is no such tag."""

    # --- publishing ------------------------------------------------------

    def open_upload(self) -> Upload: ...

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

        Everything ``upload`` put is durable and indexed, and ``new`` is in the
        version table, when this returns. ``new.manifest`` and every object that
        the upload was told of as already known are proven present in the same
        step; so are the versions ``shares``, of which the new one has parts that
        the upload was not told of. ``lease`` is put in the same step, too.
        HeadMovedError if the head is not ``expected`` (the upload stays usable:
        put the redone merge and publish again); NotFoundError if the volume or
        one of ``shares`` is gone; OutOfSpaceError; StoreError. On any error
        nothing moved.
        """

    # --- leases ----------------------------------------------------------

    def put_lease(self, lease: Lease) -> None:
        """Make a session's lease, or replace the one it had; durable on return.

        NotFoundError if one of its ``versions`` is not there. What a lease needs
        must be reachable when it is put: from one of its versions, from the
        lease that it replaces, or from what ``publish`` publishes with it.
        """

    def find_lease(self, session: str) -> Lease | None: ...

    def list_leases(self) -> list[Lease]:
        """Those of all volumes, by session; also of volumes that were deleted."""

    def drop_lease(self, session: str, expected: Lease | None = None) -> None:
        """The session needs nothing any more. Nothing happens if it had no lease.

        With ``expected``, only if it still has that one.
        """

    def list_damaged_leases(self, sessions: Iterable[str]) -> list[str | None]:
        """Whose leases cannot be read: sessions of these, or that are told by the lease.

        None for each of which it cannot be told. While there is one, ``list_leases``
        raises DamagedObjectError, and so do gc and expiry. To put such a lease anew, or
        to drop it, is to mend it.
        """

    # --- holds -----------------------------------------------------------

    def hold(self, manifest: Oid) -> AbstractContextManager[None]:
        """Keep a version while a ``with`` block lasts: gc and expiry treat it as leased.

        It writes nothing, ends with the process at the latest, and may outlast this
        handle. Whether the version is there has to be looked at after it was taken.
        """

    def is_held(self, manifest: Oid) -> bool:
        """Whether anybody holds the version of this manifest."""

    # --- care ------------------------------------------------------------

    def prove(self) -> None:
        """StoreReplacedError if what is at its address is not the store that was opened.

        Then everything that would write raises it, and reading goes on from what was opened.
        """

    def find_missed(self) -> str:
        """Empty, unless it is older than what this machine saw acknowledged: then what to say.

        Also logged at the opening, until it is accepted.
        """

    def accept_missed(self) -> None:
        """What is missing is known: it is not told any more."""

    def get_space(self) -> Space: ...

    def iter_damage(self, *, read_data: bool = True) -> Iterator[Damage | CheckProgress]:
        """Read every stored byte and every index record; yield what is wrong.

        Checksums are compared of all that is stored. Chunks are decompressed and
        their ids computed only with ``read_data``, everything else always.
        """

    def is_lost(self, oid: Oid) -> bool:
        """Whether a repair found no readable record of it. It may be there again by now."""

    def collect(self, live: Live, options: GcOptions) -> Iterator[GcProgress | GcReport]:
        """Remove what is not live. The last thing that is yielded is the report.

        ``live.keep`` is handed the roots: the manifests of all versions, heads and
        holds and the needs of all leases; again and again, until no root can have been
        added before something is removed. What is removed stays in quarantine for
        the time of grace: it can be read, though ``contains`` denies it, and a
        ``publish`` that relies on it brings it back.
        Objects of uploads that are open are left alone. On any error nothing has
        been removed that is not dead, and nothing deleted that was not in
        quarantine before. ConflictError if another gc or repair is running.
        """

    def undelete(self) -> Undeleted:
        """Bring back all that gc put into quarantine. ConflictError as for ``collect``."""

    def repair(self) -> Iterator[CheckProgress | RepairReport]:
        """Make the index say what is stored; the last thing that is yielded is the report.

        Afterwards ``iter_damage`` finds nothing, and a second repair changes
        nothing, but where packs were busy. ConflictError as for ``collect``.
        """

    # --- recovery: when refs are lost ------------------------------------

    def iter_manifests(self) -> Iterator[Oid]:
        """Every manifest that is stored, whether a version has it or not."""

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        """Add a volume with these versions, all stored, and tags of them that it lacks.

        AlreadyExistsError by name or id.
        """

    def list_named(self) -> dict[str, Named]:
        """The names and tags of volumes, by id, as they were kept for their recovery."""

    def has_lost_refs(self) -> bool:
        """Whether the index was rebuilt without its refs, and they are not recovered yet."""

    def end_recovery(self) -> None:
        """Refs that were lost with the index have been recovered, as far as that can be."""

    def close(self) -> None: ...
