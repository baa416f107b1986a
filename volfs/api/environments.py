"""Environments: their contents; making, renaming and deleting them; ``volfs.Environment``.

An environment exists if it was made, or if something with a name is in it. ``main`` always exists.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Self

from volfs.api.apps.notes import refuse
from volfs.api.client import Client, default_environment, find_client
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import Twin, blocking
from volfs.daemon.sessions.delete import delete_all_with_overlays
from volfs.errors import AlreadyExistsError, InvalidError, NotAStoreError, NotFoundError
from volfs.errors.fault_points import reached
from volfs.model.names import MAIN, check_environment
from volfs.services.environments import EnvironmentRow, Environments
from volfs.services.resources import DICT, NETWORK, QUEUE, SECRET, VOLUME, ResourceKind
from volfs.store.contract.refs import VolumeRecord
from volfs.volume.volumes import is_ephemeral

KINDS = (VOLUME, NETWORK, DICT, QUEUE, SECRET)
"""The kinds of resources that have names in an environment."""


class EnvironmentContents(NamedTuple):
    """An environment, and the number of resources of each kind in it."""

    name: str
    created_ns: int | None
    """The creation time. None if nobody made the environment, and it exists because of its
    contents."""
    created_by: str
    contents: Counter[ResourceKind]
    former: str = ""
    """The old name, if renaming the environment was interrupted."""


class KnownEnvironments:
    """The environments of a store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- looking ---------------------------------------------------------

    def list_all(self) -> list[EnvironmentContents]:
        """All environments, sorted by name. If there is no store, only ``main``."""
        rows: dict[str, EnvironmentRow] = {}
        contents: dict[str, Counter[ResourceKind]] = {MAIN: Counter()}
        with suppress(NotAStoreError):
            rows = self._rows().list_rows()
            self._count(contents)
        for name in rows:
            contents.setdefault(name, Counter())
        return [_make_found(name, rows.get(name), contents[name]) for name in sorted(contents)]

    def get(self, name: str) -> EnvironmentContents:
        """The environment of this name. NotFoundError; InvalidError for a name that is not
        possible."""
        check_environment(name)
        for found in self.list_all():
            if found.name == name:
                return found
        raise NotFoundError(f"Environment '{name}' not found; `volfs environment list` shows all")

    def exists(self, name: str) -> bool:
        return any(found.name == name for found in self.list_all())

    def _count(self, contents: dict[str, Counter[ResourceKind]]) -> None:
        for environment, kinds in self._rows().list_resources().items():
            for kind, names in kinds.items():
                contents.setdefault(environment, Counter())[kind] += len(names)
        for record in self._list_volumes():
            kind = NETWORK if record.is_network else VOLUME
            contents.setdefault(record.environment, Counter())[kind] += 1

    def _list_volumes(self) -> list[VolumeRecord]:
        """The volumes that have a name."""
        with self._client.store() as store:
            return [record for record in store.refs.list_volumes() if not is_ephemeral(record)]

    def _rows(self, *, create: bool = False) -> Environments:
        store = self._client.tables(create=create)
        return Environments(store, self._client.find_shared())

    # --- changing --------------------------------------------------------

    def create(self, name: str) -> None:
        """Make an environment, and the store if there is none. AlreadyExistsError;
        InvalidError."""
        check_environment(name, is_new=True)
        if self.exists(name):
            raise AlreadyExistsError(f"Environment '{name}' already exists")
        self._rows(create=True).create(name)

    def delete(self, name: str) -> None:
        """Remove an environment with everything that has a name in it, for ever.

        NotFoundError; InvalidError for ``main``; VolumeInUseError, before anything is removed, if
        a volume in it is mounted or has changes that are not committed.
        """
        _check_not_main(name, "deleted")
        self.get(name)
        mine = [record for record in self._list_volumes() if record.environment == name]
        with self._client.store() as store:
            delete_all_with_overlays(store, mine)
        self._rows().delete_resources(name)
        self._rows().remove(name)

    def rename(self, old: str, new: str) -> None:
        """Rename an environment, with everything in it. Mounts stay.

        Tables and volumes are changed one after the other. If the process ends between the two,
        the same call goes on with the renaming. NotFoundError; AlreadyExistsError; InvalidError;
        StoreDeniedError if a secret in it needs the key file and that is missing.
        """
        _check_not_main(old, "renamed")
        check_environment(new, is_new=True)
        self._check_names(old, new)
        rows = self._rows()
        rows.begin_rename(old, new)
        reached("environment.moved")
        with self._client.store() as store:
            store.refs.rename_environment(old, new)
        rows.end_rename(new)

    def _check_names(self, old: str, new: str) -> None:
        known = {found.name: found for found in self.list_all()}
        goal = known.get(new)
        if goal is not None and goal.former == old:
            return  # an interrupted renaming, to be continued
        if old not in known:
            self.get(old)
        if goal is not None:
            raise AlreadyExistsError(f"Environment '{new}' already exists")


def _check_not_main(name: str, done: str) -> None:
    if name == MAIN:
        raise InvalidError(f"Environment '{MAIN}' is always there: it cannot be {done}")


def _make_found(
    name: str, row: EnvironmentRow | None, contents: Counter[ResourceKind]
) -> EnvironmentContents:
    if row is None:
        return EnvironmentContents(name, None, "", contents)
    return EnvironmentContents(name, row.created_ns, row.created_by, contents, row.former)


# --- in Modal's shape -------------------------------------------------------


class EnvironmentObjects:
    """``Environment.objects``."""

    @blocking
    def create(
        self,
        name: str,
        *,
        restricted: bool = False,
        default_role: str | None = None,
        experimental_options: dict[str, Any] | None = None,
        client: Client | None = None,
    ) -> None:
        """Make an environment. AlreadyExistsError; InvalidError for a bad name.

        The modes of the store's files decide who may use it, so the other options are ignored.
        """
        KnownEnvironments(find_client(client)).create(name)

    @blocking
    def list(self, *, client: Client | None = None) -> list[Environment]:
        """All environments, sorted by name."""
        found = find_client(client)
        known = KnownEnvironments(found).list_all()
        return [Environment.from_name(one.name, client=found) for one in known]

    @blocking
    def delete(self, name: str, *, client: Client | None = None) -> None:
        """Remove an environment with everything in it, for ever. NotFoundError;
        VolumeInUseError."""
        KnownEnvironments(find_client(client)).delete(name)


class Environment(HasDashboard):
    """A handle on an environment, which is a name space for volumes, dicts, queues and secrets."""

    objects = EnvironmentObjects()

    def __init__(self) -> None:
        raise InvalidError(
            "`Environment(...)` constructor is not allowed. Please use `Environment.from_name` "
            "instead"
        )

    _name: str
    _client: Client | None
    _is_made: bool

    @classmethod
    def from_name(
        cls, name: str, *, create_if_missing: bool = False, client: Client | None = None
    ) -> Self:
        """A handle on the environment of this name, which ``hydrate`` looks up. InvalidError for a
        bad name."""
        handle = object.__new__(cls)
        handle._name = check_environment(name, is_new=create_if_missing)
        handle._client = client
        handle._is_made = create_if_missing
        return handle

    @classmethod
    def from_context(cls, *, client: Client | None = None) -> Self:
        """A handle on the environment that names belong to if no other is named."""
        return cls.from_name(default_environment(), client=client)

    @property
    def name(self) -> str:
        return self._name

    @blocking
    def hydrate(self, client: Client | None = None) -> Self:
        """Look the environment up now, or make it if the handle says so. NotFoundError."""
        known = KnownEnvironments(find_client(client or self._client))
        if self._is_made:
            with suppress(AlreadyExistsError):
                known.create(self._name)
        known.get(self._name)
        return self

    @property
    def client(self) -> Client:
        self._client = find_client(self._client)
        return self._client

    @property
    def object_id(self) -> NoReturn:
        refuse("Environment.object_id", "an environment has no id, only its name")

    @property
    def apps(self) -> NoReturn:
        refuse("Environment.apps", "apps live with the program that defines them")

    @property
    def billing(self) -> NoReturn:
        refuse("Environment.billing", "nothing is billed")

    @property
    def members(self) -> NoReturn:
        refuse("Environment.members", "who may open the store's directory may use all of it")

    @property
    def roles(self) -> NoReturn:
        refuse("Environment.roles", "who may open the store's directory may use all of it")

    def __repr__(self) -> str:
        return f"volfs.Environment({self._name!r})"


def _create(name: str, client: Client | None = None) -> None:
    """As ``Environment.objects.create``."""
    Environment.objects.create(name, client=client)


def _delete(name: str, client: Client | None = None) -> None:
    """As ``Environment.objects.delete``."""
    Environment.objects.delete(name, client=client)


def _list(client: Client | None = None) -> list[Environment]:
    """As ``Environment.objects.list``."""
    return Environment.objects.list(client=client)


def _update(
    current_name: str,
    *,
    new_name: str | None = None,
    new_web_suffix: str | None = None,
    new_image_builder_version: str | None = None,
    client: Client | None = None,
) -> None:
    """Rename an environment, with everything in it. The other options have no meaning here.

    NotFoundError; AlreadyExistsError; InvalidError; PermissionDeniedError if a secret in it needs
    the key file and that is missing.
    """
    if new_name is not None and new_name != current_name:
        KnownEnvironments(find_client(client)).rename(current_name, new_name)


create_environment: Twin[..., None] = Twin(_create)
delete_environment: Twin[..., None] = Twin(_delete)
list_environments: Twin[..., list[Environment]] = Twin(_list)
update_environment: Twin[..., None] = Twin(_update)
