"""The volumes of a store, as the resources that lazy handles look for.

An ephemeral volume is kept as long as the resource with its id is renewed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from volfs.api.client import Client
from volfs.daemon.sessions.delete import delete_all_with_overlays, delete_with_overlays
from volfs.errors import AlreadyExistsError, InvalidError, NotFoundError, VolumeInUseError
from volfs.model.profile import DEFAULT_PROFILE, PROFILES
from volfs.services.resources import (
    NETWORK,
    VOLUME,
    Resource,
    ResourceKind,
    Resources,
    check_name,
)
from volfs.store.clock import Moment, read_moment
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.volumes import (
    create_ephemeral_volume,
    create_volume,
    delete_volume,
    is_ephemeral,
)


class KnownVolumes:
    """The volumes of one ``kind``, as ``resource.KnownResources``. ``version`` is the wanted
    profile; None takes any.

    Volumes of the other kind share these names, and are refused: InvalidError.
    """

    def __init__(
        self,
        client: Client,
        version: int | None = None,
        *,
        kind: ResourceKind = VOLUME,
        moment: Callable[[], Moment] = read_moment,
    ) -> None:
        if version is not None and version not in PROFILES:
            raise InvalidError("VolumeFS version must be either 1 or 2")
        self._client = client
        self._version = version
        self._kind = kind
        self._moment = moment

    # --- making ----------------------------------------------------------

    def create(self, name: str, environment: str, *, allow_existing: bool = False) -> Resource:
        """Make a volume. AlreadyExistsError; InvalidError if one exists and has another version
        than the wanted one."""
        check_name(self._kind.noun, name)
        profile, network = self._version or DEFAULT_PROFILE, self._kind == NETWORK
        with self._client.store(create=True) as store:
            try:
                record = create_volume(
                    store, name, profile=profile, network=network, environment=environment
                )
            except AlreadyExistsError:
                if not allow_existing:
                    raise AlreadyExistsError(
                        f"{self._kind.noun} '{name}' already exists in environment '{environment}'"
                    ) from None
                record = self._check(store.refs.get_volume(name, environment))
        return to_resource(record)

    def create_ephemeral(self, environment: str) -> Resource:
        made = self._lives(create=True).create_ephemeral(environment)
        with self._client.store() as store:
            profile = self._version or DEFAULT_PROFILE
            record = create_ephemeral_volume(store, made.id, profile, environment)
            self._remove_lapsed(store)
        return to_resource(record)

    def renew(self, resource_id: str) -> None:
        self._lives().renew(resource_id)

    def _lives(self, *, create: bool = False) -> Resources:
        return Resources(self._client.tables(create=create), self._kind, moment=self._moment)

    # --- looking ---------------------------------------------------------

    def get(self, name: str, environment: str) -> Resource:
        """The volume of this name. NotFoundError; InvalidError if its version is another."""
        with self._client.store() as store:
            try:
                record = store.refs.get_volume(name, environment)
            except NotFoundError:
                raise self._not_found(name, environment) from None
        return to_resource(self._check(record))

    def get_by_id(self, resource_id: str) -> Resource:
        with self._client.store() as store:
            return to_resource(self._get_record(store, resource_id))

    def _get_record(self, store: Store, resource_id: str) -> VolumeRecord:
        return get_record(store, resource_id, self._kind)

    def _is_mine(self, resource_id: str) -> bool:
        return resource_id.startswith(f"{self._kind.prefix}-")

    def list_all(self, environment: str) -> list[Resource]:
        """The volumes that have a name, newest first."""
        with self._client.store() as store:
            known = [record for record in store.refs.list_volumes() if self._is_mine(record.id)]
        named = [record for record in known if not is_ephemeral(record)]
        return [to_resource(record) for record in named if record.environment == environment]

    def _check(self, record: VolumeRecord) -> VolumeRecord:
        if not self._is_mine(record.id):
            other = NETWORK if record.is_network else VOLUME
            raise InvalidError(
                f"Attempted to mount: `{record.name}` as a {self._kind.noun} "
                f"which already exists as a {other.noun}"
            )
        if self._version not in (None, record.profile):
            raise InvalidError(
                f"Volume '{record.name}' exists but has version v{record.profile}, not "
                f"v{self._version} as requested. To access this Volume, either omit the version "
                "parameter or use the correct version."
            )
        return record

    # --- removing --------------------------------------------------------

    def delete(self, name: str, environment: str) -> None:
        """Remove a volume. NotFoundError; InvalidError for one of the other kind;
        VolumeInUseError."""
        with self._client.store() as store:
            try:
                network = self._kind == NETWORK
                delete_with_overlays(store, name, network=network, environment=environment)
            except NotFoundError:
                raise self._not_found(name, environment) from None

    def delete_by_id(self, resource_id: str) -> None:
        with self._client.store() as store:
            delete_all_with_overlays(store, [self._get_record(store, resource_id)])
        self._lives().delete_by_id(resource_id)

    def _remove_lapsed(self, store: Store) -> None:
        """Remove the ephemeral volumes that nobody has renewed in time, except those that are
        mounted."""
        lives = self._lives()
        lives.remove_lapsed()
        for record in filter(is_ephemeral, store.refs.list_volumes()):
            if not self._is_mine(record.id):
                continue
            try:
                lives.get_by_id(record.id)
            except NotFoundError:
                with suppress(NotFoundError, VolumeInUseError):
                    delete_volume(
                        store,
                        record.name,
                        network=record.is_network,
                        environment=record.environment,
                    )

    def _not_found(self, name: str, environment: str) -> NotFoundError:
        return NotFoundError(f"{self._kind.noun} '{name}' not found in environment '{environment}'")


def get_record(store: Store, volume_id: str, kind: ResourceKind | None = None) -> VolumeRecord:
    """The record of a volume by its id. NotFoundError, also for a volume of another ``kind``."""
    record = store.refs.find_volume_by_id(volume_id)
    if record is None or (kind and not volume_id.startswith(f"{kind.prefix}-")):
        noun = (kind or VOLUME).noun
        raise NotFoundError(f"{noun} '{volume_id}' not found; it was deleted, or never was")
    return record


def to_resource(record: VolumeRecord) -> Resource:
    name = "" if is_ephemeral(record) else record.name
    return Resource(record.id, name, record.environment, record.created_ns, record.created_by)
