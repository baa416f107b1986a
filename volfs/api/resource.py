"""Lazy handles by name or id, ``objects``, and ``info``: the parts that all kinds of named objects
share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from volfs.api.client import (
    Client,
    app_environment,
    client_of,
    default_environment,
    find_client,
)
from volfs.api.dashboard import HasDashboard
from volfs.api.older_constructors import OlderConstructors
from volfs.api.twins import blocking, run_in_thread
from volfs.errors import (
    InvalidError,
    NotAStoreError,
    NotFoundError,
    VolfsError,
    VolumeInUseError,
)
from volfs.model.names import check_environment
from volfs.services.resources import EPHEMERAL_NS, Resource, ResourceKind, Resources, check_name
from volfs.store.location import choose_environment

R = TypeVar("R", bound="ResourceHandle")
HEARTBEAT = EPHEMERAL_NS / 1e9 / 3
"""Seconds between two renewals of an ephemeral resource by its owner."""

FindResource = Callable[["ResourceHandle"], Resource]


class KnownResources(Protocol):
    """The resources of one kind. This is the part of ``services.resources.Resources`` that handles
    need."""

    def create(self, name: str, environment: str, *, allow_existing: bool = False) -> Resource: ...

    def create_ephemeral(self, environment: str) -> Resource: ...

    def renew(self, resource_id: str) -> None: ...

    def get(self, name: str, environment: str) -> Resource: ...

    def get_by_id(self, resource_id: str) -> Resource: ...

    def list_all(self, environment: str) -> list[Resource]: ...

    def delete(self, name: str, environment: str) -> None: ...

    def delete_by_id(self, resource_id: str) -> None: ...


class OpenKnown(Protocol):
    """The type of ``ResourceHandle._open``."""

    def __call__(self, client: Client, *, create: bool = False) -> KnownResources: ...


@dataclass(frozen=True)
class ResourceInfo:
    """Facts about a resource that never change."""

    name: str | None
    created_at: datetime
    created_by: str | None


class ResourceHandle(HasDashboard, OlderConstructors):
    """A handle that names a resource, and looks it up when it is first used."""

    _kind: ClassVar[ResourceKind]
    _info: ClassVar[type[ResourceInfo]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        noun = self._kind.noun
        raise InvalidError(
            f"`{noun}(...)` constructor is not allowed. Please use `{noun}.from_name` instead"
        )

    @classmethod
    def _make(cls, find: FindResource, client: Client | None, name: str | None, where: str) -> Self:
        handle = object.__new__(cls)
        handle._find = find
        handle._client = client
        handle._name = name
        handle._where = where
        handle._found = None
        handle._follows_runs = False
        handle._environment = None
        return handle

    @classmethod
    def _make_named(
        cls, find: FindResource, client: Client | None, name: str, environment_name: str | None
    ) -> Self:
        """As ``_make``. Without an environment, the handle belongs to the environment of the app
        that uses it."""
        handle = cls._make(find, client, name, f"'{name}'")
        handle._follows_runs = not environment_name
        handle._environment = environment_name or None
        return handle

    _find: FindResource
    _client: Client | None
    _name: str | None
    _where: str
    _found: Resource | None
    _follows_runs: bool
    """Whether the handle names another resource for an app that runs in another environment."""
    _environment: str | None
    """The environment in which the name is looked up. None: the one in force at the lookup."""

    @classmethod
    def from_id(cls, object_id: str = "", client: Client | None = None, **by_kind: str) -> Self:
        """A handle on the resource of this id. NotFoundError at the first use.

        The id may also be given by Modal's name for it: ``volume_id=``, ``dict_id=``,
        ``queue_id=``. TypeError.
        """
        object_id = object_id or by_kind.pop(f"{cls._kind.noun.lower()}_id", "")
        if by_kind or not object_id:
            wrong = f"unknown: {', '.join(by_kind)}" if by_kind else "the id is missing"
            raise TypeError(f"{cls.__name__}.from_id(): {wrong}")

        def find(handle: ResourceHandle) -> Resource:
            return handle._resources().get_by_id(object_id)

        return cls._make(find, client, None, f"'{object_id}'")

    @classmethod
    def _of(cls, resource: Resource, client: Client) -> Self:
        """A handle on a resource that has been looked up already."""
        handle = cls._make(lambda _: resource, client, resource.name or None, repr(resource.id))
        handle._found = resource
        return handle

    @classmethod
    def _open(cls, client: Client, *, create: bool = False) -> KnownResources:
        """All resources of this kind in a store. With ``create``, a store is made if there is
        none."""
        kind = cls._kind
        kept = client.shared(create=create) if kind.is_shared else client.tables(create=create)
        return Resources(kept, kind)

    def _resources(self, *, create: bool = False) -> KnownResources:
        return self._open(self.client, create=create)

    # --- looking the resource up -----------------------------------------

    @blocking
    def hydrate(self, client: Client | None = None) -> Self:
        """Look the resource up now. NotFoundError."""
        if client is not None and self._found is None:
            self._client = client
        self._hydrate()
        return self

    def _hydrate(self) -> None:
        self._resource()

    def _resource(self) -> Resource:
        if self._found is None:
            try:
                self._found = self._find(self)
            except NotAStoreError as error:
                raise NotFoundError(f"{self._kind.noun} {self._where} not found: {error}") from None
        return self._found

    # --- in the environment of an app ------------------------------------

    def belong_to(self, environment: str) -> None:
        """Bind the handle to the environment in which an app that was given it runs.

        A handle that was made for one environment, or by an id, stays as it is.
        """
        if self._follows_runs:
            self._found = self.get_in(environment)._found
            self._environment = environment

    def get_for_app(self) -> Self:
        """The handle to use for the app whose container is being made."""
        environment = app_environment()
        return self if environment is None else self.get_in(environment)

    def get_in(self, environment: str) -> Self:
        """The handle to use for an app that runs in this environment: this one, or another."""
        if not self._follows_runs or environment == self._get_environment():
            return self
        twin = self._copy()
        twin._found, twin._environment = None, environment
        return twin

    def _get_environment(self) -> str:
        if self._found is not None:
            return self._found.environment
        return choose_environment(self._environment)

    def _copy(self) -> Self:
        # copy.copy would pickle the handle.
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    # --- facts -----------------------------------------------------------

    @property
    def object_id(self) -> str:
        """The id of the resource, which is looked up if it has not been. NotFoundError."""
        return self._resource().id

    @property
    def name(self) -> str | None:
        """The name. None if the resource has no name, or only its id is known."""
        return self._name or (self._found.name if self._found else None) or None

    @property
    def client(self) -> Client:
        self._client = find_client(self._client)
        return self._client

    def __repr__(self) -> str:
        said = f"name={self.name!r}" if self.name else f"id={self._where}"
        return f"volfs.{type(self).__name__}({said})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A handle is pickled by id and store, so that another process gets the same resource.
        return _restore, (type(self), self.get_for_app()._resource(), self.client.url)

    @blocking
    def info(self) -> ResourceInfo:
        """The facts about the resource that never change. NotFoundError."""
        object_id = self.object_id
        resource = self._resources().get_by_id(object_id)
        return self._info(
            resource.name or None, local_time(resource.created_ns), resource.created_by
        )


class NamedHandle(ResourceHandle):
    """A handle on a kind of resource that has no options except its name."""

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        client: Client | None = None,
    ) -> Self:
        """A handle on the resource of this name, which is looked up at its first use. InvalidError
        for a bad name."""
        check_name(cls._kind.noun, name)
        check_given(environment_name)

        def find(handle: ResourceHandle) -> Resource:
            environment = default_environment(handle._environment)
            if create_if_missing:
                made = handle._resources(create=True)
                return made.create(name, environment, allow_existing=True)
            return handle._resources().get(name, environment)

        return cls._make_named(find, client, name, environment_name)


def check_given(environment_name: str | None) -> None:
    """Raise InvalidError for a name that no environment can have. Whether it exists is seen
    later."""
    if environment_name:
        check_environment(environment_name)


def _restore(cls: type[R], resource: Resource, url: str) -> R:
    return cls._of(resource, client_of(url))


_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


def local_time(nanoseconds: int) -> datetime:
    return (_EPOCH + nanoseconds // 1000 * _MICROSECOND).astimezone()


# --- objects ----------------------------------------------------------------


class NamedResources(Generic[R]):
    """``X.objects``: the named resources of one kind, as a whole."""

    def __init__(self, cls: type[R]) -> None:
        self._cls = cls

    @blocking
    def create(
        self,
        name: str,
        *,
        allow_existing: bool = False,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> None:
        """Make a resource. AlreadyExistsError unless ``allow_existing``; InvalidError for a bad
        name."""
        check_name(self._cls._kind.noun, name)
        self._resources(client, create=True).create(
            name, default_environment(environment_name), allow_existing=allow_existing
        )

    @blocking
    def list(
        self,
        *,
        max_objects: int | None = None,
        created_before: datetime | str | None = None,
        environment_name: str = "",
        client: Client | None = None,
    ) -> list[R]:
        """Handles on the named resources, newest first. A ``created_before`` without a zone is
        local time. InvalidError."""
        if max_objects is not None and max_objects < 0:
            raise InvalidError("max_objects cannot be negative")
        before = _to_nanoseconds(created_before)
        found = find_client(client)
        try:
            known = self._resources(found).list_all(default_environment(environment_name))
        except NotAStoreError:
            known = []
        old = [r for r in known if before is None or r.created_ns < before]
        return [self._cls._of(resource, found) for resource in old[:max_objects]]

    @blocking
    def delete(
        self,
        name: str,
        *,
        allow_missing: bool = False,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> None:
        """Remove a resource with all its contents, for ever. NotFoundError unless
        ``allow_missing``."""
        try:
            self._delete(client, name, default_environment(environment_name))
        except (NotFoundError, NotAStoreError) as error:
            if not allow_missing:
                raise NotFoundError(str(error)) from None

    def _delete(self, client: Client | None, name: str, environment: str) -> None:
        self._resources(client).delete(name, environment)

    def _resources(self, client: Client | None, *, create: bool = False) -> KnownResources:
        return self._cls._open(find_client(client), create=create)


def _to_nanoseconds(moment: datetime | str | None) -> int | None:
    if moment is None:
        return None
    try:
        parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    except ValueError:
        raise InvalidError(f"created_before: {moment!r} is not a date in ISO format") from None
    return (parsed.astimezone() - _EPOCH) // _MICROSECOND * 1000


# --- ephemeral --------------------------------------------------------------


class Ephemeral(Generic[R]):
    """``with X.ephemeral() as x`` or ``async with``: a resource without a name, which exists until
    the block ends."""

    def __init__(
        self,
        cls: type[R],
        environment_name: str | None,
        client: Client | None,
        open_known: OpenKnown | None = None,
    ) -> None:
        self._cls = cls
        self._open = open_known or cls._open
        self._environment = default_environment(environment_name)
        self._client = find_client(client)
        self._done = threading.Event()
        self._handle: R | None = None

    def __enter__(self) -> R:
        resource = self._resources(create=True).create_ephemeral(self._environment)
        self._handle = self._cls._of(resource, self._client)
        threading.Thread(target=self._keep, args=(resource.id,), daemon=True).start()
        return self._handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._handle is not None:
            # A resource that is still in use is removed later, because nobody renews it any more.
            with suppress(NotFoundError, VolumeInUseError):
                self._resources().delete_by_id(self._handle.object_id)

    async def __aenter__(self) -> R:
        return await run_in_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await run_in_thread(lambda: self.__exit__(kind, error, trace))

    def _keep(self, resource_id: str) -> None:
        while not self._done.wait(HEARTBEAT):
            # If one renewal fails, the next makes up for it.
            with suppress(VolfsError):
                self._resources().renew(resource_id)

    def _resources(self, *, create: bool = False) -> KnownResources:
        return self._open(self._client, create=create)
