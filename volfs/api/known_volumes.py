"""The volumes of a store, as the resources that lazy handles look for.

A volume's name means the same in every environment, as on the command line. An
ephemeral one is kept as long as the resource of its id is renewed.
"""

from __future__ import annotations

import time
from contextlib import suppress

from volfs.api.client import Client
from volfs.errors import AlreadyExistsError, InvalidError, NotFoundError, VolumeInUseError
from volfs.model.profile import DEFAULT_PROFILE, PROFILES
from volfs.services.resources import VOLUME, Clock, Resource, Resources, check_name
from volfs.store.base import Store, VolumeRecord
from volfs.volume.volumes import (
    create_ephemeral_volume,
    create_volume,
    delete_volume,
    is_ephemeral,
)


class KnownVolumes:
    """As ``resource.Known``. ``version`` is the profile wanted; None takes any."""

    def __init__(
        self, client: Client, version: int | None = None, *, now: Clock = time.time_ns
    ) -> None:
        if version is not None and version not in PROFILES:
            raise InvalidError("VolumeFS version must be either 1 or 2")
        self._client = client
        self._version = version
        self._now = now

    # --- making ----------------------------------------------------------

    def create(self, name: str, environment: str, *, allow_existing: bool = False) -> Resource:
        """AlreadyExistsError; InvalidError for another version than that of the one there."""
        check_name("Volume", name)
        with self._client.store(create=True) as store:
            try:
                record = create_volume(store, name, profile=self._version or DEFAULT_PROFILE)
            except AlreadyExistsError:
                if not allow_existing:
                    raise AlreadyExistsError(
                        f"Volume '{name}' already exists in environment '{environment}'"
                    ) from None
                record = self._check(store.get_volume(name))
        return to_resource(record, environment)

    def create_ephemeral(self, environment: str) -> Resource:
        made = self._lives(create=True).create_ephemeral(environment)
        with self._client.store() as store:
            record = create_ephemeral_volume(store, made.id, self._version or DEFAULT_PROFILE)
            self._remove_lapsed(store)
        return to_resource(record, environment)

    def renew(self, resource_id: str) -> None:
        self._lives().renew(resource_id)

    def _lives(self, *, create: bool = False) -> Resources:
        return Resources(self._client.tables(create=create), VOLUME, self._now)

    # --- looking ---------------------------------------------------------

    def get(self, name: str, environment: str) -> Resource:
        """NotFoundError; InvalidError where its version is another."""
        with self._client.store() as store:
            try:
                record = store.get_volume(name)
            except NotFoundError:
                raise _not_found(name, environment) from None
        return to_resource(self._check(record), environment)

    def get_by_id(self, resource_id: str) -> Resource:
        with self._client.store() as store:
            return to_resource(get_record(store, resource_id))

    def list_all(self, environment: str) -> list[Resource]:
        """Those with a name, newest first."""
        with self._client.store() as store:
            named = [record for record in store.list_volumes() if not is_ephemeral(record)]
        return [to_resource(record, environment) for record in named]

    def _check(self, record: VolumeRecord) -> VolumeRecord:
        if self._version not in (None, record.profile):
            raise InvalidError(
                f"Volume '{record.name}' exists but has version v{record.profile}, not "
                f"v{self._version} as requested. To access this Volume, either omit the version "
                "parameter or use the correct version."
            )
        return record

    # --- removing --------------------------------------------------------

    def delete(self, name: str, environment: str) -> None:
        """NotFoundError; VolumeInUseError."""
        with self._client.store() as store:
            try:
                delete_volume(store, name)
            except NotFoundError:
                raise _not_found(name, environment) from None

    def delete_by_id(self, resource_id: str) -> None:
        with self._client.store() as store:
            delete_volume(store, get_record(store, resource_id).name)
        self._lives().delete_by_id(resource_id)

    def _remove_lapsed(self, store: Store) -> None:
        """Remove ephemeral volumes that nobody has renewed in time, but those that are mounted."""
        lives = self._lives()
        lives.remove_lapsed()
        for record in filter(is_ephemeral, store.list_volumes()):
            try:
                lives.get_by_id(record.id)
            except NotFoundError:
                with suppress(NotFoundError, VolumeInUseError):
                    delete_volume(store, record.name)


def get_record(store: Store, volume_id: str) -> VolumeRecord:
    """NotFoundError."""
    record = store.find_volume_by_id(volume_id)
    if record is None:
        raise NotFoundError(f"Volume '{volume_id}' not found; it was deleted, or never was")
    return record


def to_resource(record: VolumeRecord, environment: str = "") -> Resource:
    name = "" if is_ephemeral(record) else record.name
    return Resource(record.id, name, environment, record.created_ns, record.created_by)


def _not_found(name: str, environment: str) -> NotFoundError:
    return NotFoundError(f"Volume '{name}' not found in environment '{environment}'")
