"""Environments: what is in them, making, renaming and deleting them; ``volfs.Environment``.

An environment is there when somebody made it, or when something with a name is in it.
``main`` is always there.
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
"""Of what has a name in an environment."""


class EnvironmentContents(NamedTuple):
    """An environment, and how much of each kind is in it."""

    name: str
    created_ns: int | None
    """None where it came with what is in it."""
    created_by: str
    contents: Counter[ResourceKind]
    former: str = ""
    """What it was called, where renaming it came to no end."""


class KnownEnvironments:
    """The environments of a store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- looking ---------------------------------------------------------

    def list_all(self) -> list[EnvironmentContents]:
        """By name; where there is no store, only ``main``."""
        rows: dict[str, EnvironmentRow] = {}
        contents: dict[str, Counter[ResourceKind]] = {MAIN: Counter()}
        with suppress(NotAStoreError):
            rows = self._rows().list_rows()
            self._count(contents)
        for name in rows:
            contents.setdefault(name, Counter())
        return [_make_found(name, rows.get(name), contents[name]) for name in sorted(contents)]

    def get(self, name: str) -> EnvironmentContents:
        """NotFoundError; InvalidError for a name that can be none."""
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
        """Those with a name."""
        with self._client.store() as store:
            return [record for record in store.refs.list_volumes() if not is_ephemeral(record)]

    def _rows(self, *, create: bool = False) -> Environments:
        return Environments(self._client.tables(create=create))

    # --- changing --------------------------------------------------------

    def create(self, name: str) -> None:
        """Make one, and the store if there is none. AlreadyExistsError; InvalidError."""
        check_environment(name, is_new=True)
        if self.exists(name):
            raise AlreadyExistsError(f"Environment '{name}' already exists")
        self._rows(create=True).create(name)

    def delete(self, name: str) -> None:
        """Remove it with all that has a name in it, for ever.

        NotFoundError; InvalidError for ``main``; VolumeInUseError, before anything is
        removed, where a volume of it is mounted or has changes that are not committed.
        """
        _check_not_main(name, "deleted")
        self.get(name)
        mine = [record for record in self._list_volumes() if record.environment == name]
        with self._client.store() as store:
            delete_all_with_overlays(store, mine)
        self._rows().delete_resources(name)
        self._rows().remove(name)

    def rename(self, old: str, new: str) -> None:
        """Give it another name, with all that is in it. Mounts stay.

        Tables and volumes are changed one after the other: should it end between the two,
        the same call goes on with it. NotFoundError; AlreadyExistsError; InvalidError;
        StoreDeniedError without the key of secrets in it.
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
            return  # to be gone on with
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
        """Make one. AlreadyExistsError; InvalidError for a bad name.

        Who may do what with it is said by the modes of the store: the rest is ignored.
        """
        KnownEnvironments(find_client(client)).create(name)

    @blocking
    def list(self, *, client: Client | None = None) -> list[Environment]:
        """All there are, by name."""
        found = find_client(client)
        known = KnownEnvironments(found).list_all()
        return [Environment.from_name(one.name, client=found) for one in known]

    @blocking
    def delete(self, name: str, *, client: Client | None = None) -> None:
        """Remove one with all that is in it, for ever. NotFoundError; VolumeInUseError."""
        KnownEnvironments(find_client(client)).delete(name)


class Environment(HasDashboard):
    """A handle on what divides the names of volumes, dicts, queues and secrets."""

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
        """The one of this name, looked up by ``hydrate``. InvalidError for a bad name."""
        handle = object.__new__(cls)
        handle._name = check_environment(name, is_new=create_if_missing)
        handle._client = client
        handle._is_made = create_if_missing
        return handle

    @classmethod
    def from_context(cls, *, client: Client | None = None) -> Self:
        """The one that names belong to where nobody says more."""
        return cls.from_name(default_environment(), client=client)

    @property
    def name(self) -> str:
        return self._name

    @blocking
    def hydrate(self, client: Client | None = None) -> Self:
        """Look it up now, or make it. NotFoundError."""
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
    """Give it another name, with all that is in it. The other options have no meaning here.

    NotFoundError; AlreadyExistsError; InvalidError; PermissionDeniedError without the key of
    secrets in it.
    """
    if new_name is not None and new_name != current_name:
        KnownEnvironments(find_client(client)).rename(current_name, new_name)


create_environment: Twin[..., None] = Twin(_create)
delete_environment: Twin[..., None] = Twin(_delete)
list_environments: Twin[..., list[Environment]] = Twin(_list)
update_environment: Twin[..., None] = Twin(_update)
