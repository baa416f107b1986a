"""``volfs.Volume``: a named tree of files with history, in Modal's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self, TypedDict

from volfs.api import mount_rules
from volfs.api.client import Client, default_environment, find_client
from volfs.api.commits import Commit, Overridden, to_merge_commit
from volfs.api.deprecated import warn_of
from volfs.api.history import Historical, VersionName
from volfs.api.known_volumes import KnownVolumes, get_record, to_resource
from volfs.api.older_names import OlderNames
from volfs.api.own_mounts import get_own_mount
from volfs.api.resource import (
    Ephemeral,
    FindResource,
    KnownResources,
    NamedResources,
    ResourceHandle,
    ResourceInfo,
    check_given,
)
from volfs.api.twins import Twin, blocking, opening_class
from volfs.control.mount_client import MountClient
from volfs.errors import InvalidError, NotFoundError, NotMountedError
from volfs.model.names import join_path, parse_path
from volfs.services.resources import VOLUME, Resource, check_name
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import get_version
from volfs.volume.merging import MergeOptions, OnBoth, get_merge_target, merge_volume
from volfs.volume.volumes import fork_volume, rename_volume


class VolumeInfo(ResourceInfo):
    """Name, creation time and creator of a Volume."""


class VolumeCreateOptions(TypedDict, total=False):
    """Options for Modal's service. volfs ignores them all."""

    experimental_options: dict[str, Any]


@dataclass(frozen=True)
class MountChoice:
    """How containers mount a volume. ``sub_path`` is a path from the volume's root; None means the
    whole volume."""

    read_only: bool = False
    sub_path: str | None = None


class VolumeObjects(NamedResources["Volume"]):
    """``Volume.objects``."""

    @blocking
    def create(
        self,
        name: str,
        *,
        version: int | None = None,
        allow_existing: bool = False,
        experimental_options: dict[str, Any] | None = None,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> None:
        """Make a volume. AlreadyExistsError unless ``allow_existing``; InvalidError."""
        check_name("Volume", name)
        KnownVolumes(find_client(client), version).create(
            name, default_environment(environment_name), allow_existing=allow_existing
        )


class Volume(ResourceHandle, OlderNames, Historical):
    """A handle on a volume. Its own reads and changes act on the committed state, at once.

    ``commit`` and ``reload`` act on the mount of the volume that this process sees.
    """

    _kind = VOLUME
    _info = VolumeInfo
    mounts_as = mount_rules.VOLUME
    objects: ClassVar[VolumeObjects]
    _choice: MountChoice | None
    """The choices that ``with_mount_options`` has been given so far."""
    _is_read_only: bool

    @classmethod
    def _open(cls, client: Client, *, create: bool = False) -> KnownResources:
        return KnownVolumes(client)

    @classmethod
    def _make(
        cls,
        find: FindResource,
        client: Client | None,
        name: str | None,
        where: str,
    ) -> Self:
        handle = super()._make(find, client, name, where)
        handle._choice = None
        handle._is_read_only = False
        return handle

    # --- making handles --------------------------------------------------

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        version: int | None = None,
        create_options: VolumeCreateOptions | None = None,
        client: Client | None = None,
    ) -> Self:
        """A handle on the Volume of this name, which is looked up at its first use. InvalidError
        for a bad name.

        ``version`` is 1 or 2; new volumes have 2 by default. If the volume has another version,
        its first use raises InvalidError.
        """
        check_name("Volume", name)
        check_given(environment_name)

        def find(handle: ResourceHandle) -> Resource:
            environment = default_environment(handle._environment)
            known = KnownVolumes(handle.client, version)
            if create_if_missing:
                return known.create(name, environment, allow_existing=True)
            return known.get(name, environment)

        return cls._make_named(find, client, name, environment_name)

    @classmethod
    def persist(cls, label: str, *, environment_name: str | None = None) -> Self:
        """``from_name`` with ``create_if_missing``. Warns with DeprecationError."""
        warn_of("Volume.persist", "Volume.from_name(name, create_if_missing=True)")
        return cls.from_name(label, environment_name=environment_name, create_if_missing=True)

    persisted = persist

    @opening_class
    @classmethod
    def ephemeral(
        cls,
        client: Client | None = None,
        environment_name: str | None = None,
        version: int | None = None,
        create_options: VolumeCreateOptions | None = None,
    ) -> Ephemeral[Self]:
        """A Volume without a name, for a ``with`` or ``async with`` block."""

        def open_versioned(client: Client, *, create: bool = False) -> KnownResources:
            return KnownVolumes(client, version)

        return Ephemeral(cls, environment_name, client, open_versioned)

    rename: ClassVar[Twin[..., None]]

    # --- mounting in containers ------------------------------------------

    @property
    def mount_choice(self) -> MountChoice:
        """How containers mount the volume."""
        return replace(self._choice or MountChoice(), **self._forced())

    def _forced(self) -> dict[str, Any]:
        return {"read_only": True} if self._is_read_only else {}

    def with_mount_options(
        self, *, read_only: bool | None = None, sub_path: str | PurePosixPath | None = None
    ) -> Self:
        """Another handle on the volume, with these options for containers that mount it. None
        keeps the earlier choice.

        ``sub_path`` is a directory of the volume, which is made if it is missing; ``/`` is the
        whole volume. The handle's own reads and changes stay as they were. InvalidError.
        """
        if self._is_read_only:
            raise InvalidError(
                "Cannot call with_mount_options() on a Volume that has .read_only() applied. "
                "Use with_mount_options(read_only=True) instead of it."
            )
        choice = self._choice or MountChoice()
        if read_only is not None:
            choice = replace(choice, read_only=read_only)
        if sub_path is not None:
            choice = replace(choice, sub_path=_parse_sub_path(sub_path))
        return self._like(lambda twin: setattr(twin, "_choice", choice))

    def read_only(self) -> Self:
        """Another handle on the volume, which writes nothing and which containers mount read-only.

        InvalidError after ``with_mount_options``.
        """
        if self._choice is not None:
            raise InvalidError(
                "Cannot call read_only() on a Volume that has with_mount_options() applied. "
                "Use with_mount_options(read_only=True) instead."
            )
        return self._like(lambda twin: setattr(twin, "_is_read_only", True))

    def _like(self, change: Callable[[Self], None]) -> Self:
        twin = self._copy()
        change(twin)
        return twin

    def _check_writable(self) -> None:
        if self._is_read_only:
            raise InvalidError("Read-only Volume can not be written to")

    def __reduce__(self) -> tuple[Any, ...]:
        restore, arguments = super().__reduce__()
        return restore, arguments, {"_choice": self._choice, "_is_read_only": self._is_read_only}

    # --- contents --------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[tuple[Store, VolumeRecord]]:
        volume_id = self.object_id
        with self.client.store() as store:
            yield store, get_record(store, volume_id)

    @blocking
    def fork(
        self, new_name: str, version: VersionName = "head", *, environment_name: str | None = None
    ) -> Self:
        """Make a new Volume whose version 1 is a version of this one, at once and without a copy.

        The new Volume is in the same environment, unless one is named. AlreadyExistsError;
        InvalidError for a bad name; NotFoundError.
        """
        check_name("Volume", new_name)
        with self._opened() as (store, record):
            head = get_version(store.refs, record, str(version))
            made = fork_volume(store, record, new_name, head, environment_name)
        return self._of(to_resource(made), self.client)

    @blocking
    def merge(
        self,
        into: Volume | None = None,
        *,
        message: str = "",
        on_conflict: OnBoth = "override",
        since: VersionName | None = None,
    ) -> Commit:
        """Bring the changes of this Volume, a fork, into the one that it was forked from, or into
        another.

        Only what is newer than the last merge is brought, or what came after the version ``since``
        of this Volume. If both changed a path, this one's wins; with ``on_conflict="keep"`` the
        other's; with ``"fail"`` OverriddenError. The result is false if there was nothing to merge.
        NotFoundError; InvalidError.
        """
        with self._opened() as (store, record):
            target = get_record(store, into.object_id) if into else get_merge_target(store, record)
            after = None if since is None else get_version(store.refs, record, str(since))
            return to_merge_commit(
                merge_volume(store, record, target, MergeOptions(message, on_conflict, after))
            )

    # --- the mount that this process sees --------------------------------

    @blocking
    def commit(
        self,
        message: str = "",
        *,
        on_conflict: str = "override",
        mountpoint: str | None = None,
        timeout: float | None = None,
    ) -> Commit:
        """Commit the changes in the mount that this process sees, as the next version.

        If others committed a change to the same file, ours replaces it. With
        ``on_conflict="fail"`` nothing is committed then, and OverriddenError is raised.
        RuntimeError if this process sees no mount of the volume, or several and ``mountpoint``
        names none. TimedOutError after ``timeout`` seconds without an answer; the changes may be
        committed all the same.
        """
        result = self._own_mount("commit", mountpoint).commit(message, on_conflict, timeout)
        if not result.changed:
            return Commit(None)
        overridden = tuple(Overridden(**item) for item in result.overridden)
        return Commit(result.version, result.new_objects, result.new_bytes, overridden)

    @blocking
    def reload(
        self,
        *,
        wait: float = 0.0,
        touch: bool = False,
        mountpoint: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Show the newest version in the mount that this process sees.

        With ``touch``, the files that the reload brings get the present time, which counts as a
        change. RuntimeError if files of the mount are still open after ``wait`` seconds, and as
        for ``commit``.
        """
        self._own_mount("reload", mountpoint).reload(wait, timeout, touch=touch)

    def _own_mount(self, verb: str, mountpoint: str | None) -> MountClient:
        self._hydrate()
        try:
            with self._opened() as (store, record):
                return get_own_mount(store, record, verb, mountpoint)
        except NotFoundError as error:
            raise NotMountedError(str(error)) from error


Volume.objects = VolumeObjects(Volume)


def _rename(
    old_name: str,
    new_name: str,
    *,
    client: Client | None = None,
    environment_name: str | None = None,
) -> None:
    """Rename a volume. Its id, its history and its mounts stay.

    NotFoundError; AlreadyExistsError; InvalidError for a bad name.
    """
    check_name("Volume", new_name)
    environment = default_environment(environment_name)
    with find_client(client).store() as store:
        try:
            rename_volume(store, old_name, new_name, environment)
        except NotFoundError:
            raise NotFoundError(
                f"Volume '{old_name}' not found in environment '{environment}'"
            ) from None


Volume.rename = Twin(_rename)


def _parse_sub_path(sub_path: str | PurePosixPath) -> str | None:
    """A path from the volume's root, absolute and canonical; None for the root.
    InvalidPathError."""
    path = parse_path(str(sub_path))
    return "/" + join_path(path).decode("utf-8", "surrogateescape") if path else None
