"""What Docker asks of a volume plugin. Blocking; threads may share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from volfs.daemon.sessions.delete import delete_with_overlays
from volfs.docker.container_mounts import end, is_seen_by_others, is_served, mount
from volfs.docker.docker_volumes import DockerVolume, DockerVolumes, check_docker_name
from volfs.docker.left_overlays import list_left
from volfs.docker.mount_places import MountPlaces
from volfs.docker.one_at_a_time import OneAtATime
from volfs.docker.volume_options import VolumeOptions, parse_options
from volfs.errors import (
    AlreadyExistsError,
    InvalidError,
    InvalidNameError,
    NotFoundError,
    VolfsError,
    VolumeInUseError,
)
from volfs.model.names import check_volume_name, join_name
from volfs.model.profile import DEFAULT_PROFILE
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.history import get_version
from volfs.volume.volumes import create_volume, find_volume_by_name

_STORE = "store"


class Driver:
    """The plugin named ``name``. What it creates is in ``store``, and in ``environment`` unless
    an option says another.

    What is not done raises a VolfsError, whose text Docker shows.
    """

    def __init__(self, name: str, store: str, environment: str) -> None:
        """MountError if another plugin of this name is running; LocalFileError without a home."""
        self._store = store
        self._environment = environment
        self._known = DockerVolumes(name)
        self._places = MountPlaces(name)
        self._turns = OneAtATime()

    def close(self) -> None:
        self._places.close()

    # --- volumes -----------------------------------------------------------

    def create(self, name: str, given: Mapping[str, str]) -> None:
        """Note a volume under Docker's name, and create it in the store if it is not there."""
        check_docker_name(name)
        options = parse_options(given)
        with self._turns.working_on(name):
            known = self._known.find(name)
            if known is None:
                self._known.put(self._find_or_create(name, options))
            elif known.options != options:
                raise AlreadyExistsError(
                    f"{name}: known with other options; `docker volume rm {name}` first"
                )

    def remove(self, name: str) -> None:
        """Forget a volume. Delete it from the store if this plugin has created it, unless the
        option ``keep`` is set."""
        with self._turns.working_on(name):
            known = self._known.get(name)
            places = [*self._places.iter_mounted(name)]
            if places:
                raise VolumeInUseError(f"{name}: mounted for a container at {places[0]}")
            if known.created_id and not known.options.keep:
                self._delete(known)
            self._known.remove(name)

    def describe(self, name: str) -> dict[str, Any]:
        """What `docker volume inspect` shows. The store is not asked, because it may be away."""
        known = self._known.get(name)
        return {**self._summarize(known), "Status": self._describe_state(known)}

    def list_all(self) -> list[dict[str, Any]]:
        return [self._summarize(known) for known in self._known.list_all()]

    def find_path(self, name: str) -> str:
        """A mount point of a volume, which may have several; empty if it has none."""
        self._known.get(name)
        return next((str(place) for place in self._places.iter_mounted(name)), "")

    def _summarize(self, known: DockerVolume) -> dict[str, Any]:
        created = datetime.fromtimestamp(known.created_ns / 1e9, UTC)
        return {
            "Name": known.name,
            "Mountpoint": self.find_path(known.name),
            "CreatedAt": created.isoformat(timespec="seconds"),
        }

    def _describe_state(self, known: DockerVolume) -> dict[str, Any]:
        mounts = {p.name: self._places.count(p) for p in self._places.iter_mounted(known.name)}
        state = {
            "volume": known.full_name,
            "store": known.store,
            "created": bool(known.created_id),
            "mounts": mounts,
            "uncommitted": list_left(known),
        }
        return {key: value for key, value in state.items() if value not in ({}, [])}

    # --- mounts ------------------------------------------------------------

    def mount(self, name: str, mount_id: str) -> str:
        """Mount a volume for an id if no mount of that id is there yet. Returns the mount point."""
        place = self._places.place(name, mount_id)
        with self._turns.working_on(place):
            known = self._known.get(name)
            if not is_served(place):
                self._mount(known, place)
            self._places.put_count(place, self._places.count(place) + 1)
        return str(place)

    def unmount(self, name: str, mount_id: str) -> None:
        """Count one request less for the mount of an id. After the last, commit and unmount it.

        If that fails, the id is free all the same, so Docker gets the error once. A plugin that
        died before it could answer may have counted one request too many. So a mount that nobody
        else sees ends whatever the count is.
        """
        place = self._places.place(name, mount_id)
        with self._turns.working_on(place):
            count = self._places.count(place) - 1
            if count > 0 and is_seen_by_others(place):
                self._places.put_count(place, count)
                return
            try:
                end(self._known.get(name), place)
            finally:
                self._places.forget(place)

    def _mount(self, known: DockerVolume, place: Path) -> None:
        self._places.make(place)
        try:
            mount(known, place)
        except VolfsError:
            self._places.forget(place)
            raise

    # --- the store ---------------------------------------------------------

    def _find_or_create(self, name: str, options: VolumeOptions) -> DockerVolume:
        """The volume that Docker is to know as ``name``. It is created if it may be new."""
        wanted = options.volume or _check_usable(name)
        where = options.environment or self._environment
        must_exist = bool(options.volume or options.at)
        with self._opened(self._store, create=not must_exist) as store:
            record = find_volume_by_name(store, wanted, where)
            created = record is None and not must_exist
            if created:
                profile = options.version or DEFAULT_PROFILE
                record = create_volume(store, wanted, profile=profile, environment=where)
            if record is None:
                raise NotFoundError(
                    f"no volume {join_name(where, wanted)} in the store {self._store}: `volfs "
                    "create` makes it"
                )
            _check_wanted(store, record, options)
        new_id = record.id if created else ""
        return DockerVolume(name, self._store, wanted, where, options, now_ns(), new_id)

    def _delete(self, known: DockerVolume) -> None:
        for other in self._known.list_all():
            if other.name != known.name and _is_same(other, known):
                raise VolumeInUseError(f"{known.name}: also known as {other.name}: remove that one")
        with self._opened(known.store) as store:
            record = store.refs.find_volume_by_id(known.created_id)
            if record is not None:
                delete_with_overlays(
                    store, record.name, network=record.is_network, environment=record.environment
                )

    @contextmanager
    def _opened(self, url: str, *, create: bool = False) -> Iterator[Store]:
        """A store, which one thread at a time may open."""
        with (
            self._turns.working_on((_STORE, url)),
            closing(open_store(url, create=create)) as store,
        ):
            yield store


def _check_usable(name: str) -> str:
    try:
        return check_volume_name(name)
    except InvalidNameError as error:
        raise InvalidNameError(f"{error}; -o volume=NAME names the volume in volfs") from error


def _check_wanted(store: Store, record: VolumeRecord, options: VolumeOptions) -> None:
    """InvalidError for another profile than the volume's; NotFoundError for a version that it does
    not have."""
    if options.version not in (None, record.profile):
        raise InvalidError(
            f"option version={options.version}: the volume {record.full_name} has version "
            f"{record.profile}"
        )
    if options.at:
        get_version(store.refs, record, options.at)


def _is_same(one: DockerVolume, other: DockerVolume) -> bool:
    return (one.store, one.full_name) == (other.store, other.full_name)
