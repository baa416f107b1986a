"""Lazy handles by name or id, ``objects``, ``info``: what all sorts of named objects share."""

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
"""Seconds between two signs of life of an ephemeral resource's owner."""

Find = Callable[["ResourceHandle"], Resource]


class KnownResources(Protocol):
    """The resources of one kind: what ``services.resources.Resources`` can do, as far as needed."""

    def create(self, name: str, environment: str, *, allow_existing: bool = False) -> Resource: ...

    def create_ephemeral(self, environment: str) -> Resource: ...

    def renew(self, resource_id: str) -> None: ...

    def get(self, name: str, environment: str) -> Resource: ...

    def get_by_id(self, resource_id: str) -> Resource: ...

    def list_all(self, environment: str) -> list[Resource]: ...

    def delete(self, name: str, environment: str) -> None: ...

    def delete_by_id(self, resource_id: str) -> None: ...


class OpenKnown(Protocol):
    """``ResourceHandle._open``."""

    def __call__(self, client: Client, *, create: bool = False) -> KnownResources: ...


@dataclass(frozen=True)
class ResourceInfo:
    """Facts that never change."""

    name: str | None
    created_at: datetime
    created_by: str | None


class ResourceHandle(HasDashboard, OlderConstructors):
    """Names a resource; looks it up when it is first used."""

    _kind: ClassVar[ResourceKind]
    _info: ClassVar[type[ResourceInfo]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        noun = self._kind.noun
        raise InvalidError(
            f"`{noun}(...)` constructor is not allowed. Please use `{noun}.from_name` instead"
        )

    @classmethod
    def _make(cls, find: Find, client: Client | None, name: str | None, where: str) -> Self:
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
        cls, find: Find, client: Client | None, name: str, environment_name: str | None
    ) -> Self:
        """As ``_make``; without an environment it belongs to that of the app that runs with it."""
        handle = cls._make(find, client, name, f"'{name}'")
        handle._follows_runs = not environment_name
        handle._environment = environment_name or None
        return handle

    _find: Find
    _client: Client | None
    _name: str | None
    _where: str
    _found: Resource | None
    _follows_runs: bool
    """Whether it is another thing for an app that runs in another environment."""
    _environment: str | None
    """In which its name is looked up; None is the one in force then."""

    @classmethod
    def from_id(cls, object_id: str = "", client: Client | None = None, **by_kind: str) -> Self:
        """A handle on the resource of this id. NotFoundError at the first use.

        The id may be given by its name in Modal: ``volume_id=``, ``dict_id=``, ``queue_id=``.
        TypeError.
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
        """A handle that need not look anything up."""
        handle = cls._make(lambda _: resource, client, resource.name or None, repr(resource.id))
        handle._found = resource
        return handle

    @classmethod
    def _open(cls, client: Client, *, create: bool = False) -> KnownResources:
        """All there are in a store; with ``create``, of a store that is made if there is none."""
        return Resources(client.tables(create=create), cls._kind)

    def _resources(self, *, create: bool = False) -> KnownResources:
        return self._open(self.client, create=create)

    # --- looking it up ---------------------------------------------------

    @blocking
    def hydrate(self, client: Client | None = None) -> Self:
        """Look it up now. NotFoundError."""
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
        """An app that is given this runs there now; from now on this is what the app uses.

        A handle that was made for one environment, or by an id, stays what it is.
        """
        if self._follows_runs:
            self._found = self.get_in(environment)._found
            self._environment = environment

    def get_for_app(self) -> Self:
        """What this is for the app whose container is being made."""
        environment = app_environment()
        return self if environment is None else self.get_in(environment)

    def get_in(self, environment: str) -> Self:
        """What this is for an app that runs there: itself, or another handle."""
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
        # Not by copy.copy, which pickles.
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    # --- facts -----------------------------------------------------------

    @property
    def object_id(self) -> str:
        """Looks it up if nobody has yet. NotFoundError."""
        return self._resource().id

    @property
    def name(self) -> str | None:
        """None where it has none, or is only known by its id."""
        return self._name or (self._found.name if self._found else None) or None

    @property
    def client(self) -> Client:
        self._client = find_client(self._client)
        return self._client

    def __repr__(self) -> str:
        said = f"name={self.name!r}" if self.name else f"id={self._where}"
        return f"volfs.{type(self).__name__}({said})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By id and store: what another process makes of it is the same thing.
        return _restore, (type(self), self.get_for_app()._resource(), self.client.url)

    @blocking
    def info(self) -> ResourceInfo:
        """What never changes of it. NotFoundError."""
        object_id = self.object_id
        resource = self._resources().get_by_id(object_id)
        return self._info(
            resource.name or None, local_time(resource.created_ns), resource.created_by
        )


class NamedHandle(ResourceHandle):
    """A handle of what has no choices but its name."""

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        client: Client | None = None,
    ) -> Self:
        """The one of this name, looked up at its first use. InvalidError for a bad name."""
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
    """InvalidError for an environment that cannot be one. Which it is otherwise is seen later."""
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
        """Make one. AlreadyExistsError unless ``allow_existing``; InvalidError for a bad name."""
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
        """Handles, newest first; ``created_before`` without a zone is local time. InvalidError."""
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
        """Remove one with all it contains, for ever. NotFoundError unless ``allow_missing``."""
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
    """``with X.ephemeral() as x`` or ``async with``: one without a name, until the block ends."""

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
            # What somebody still uses goes away later, when nobody renews it.
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
            # A failed sign of life is made up for by the next.
            with suppress(VolfsError):
                self._resources().renew(resource_id)

    def _resources(self, *, create: bool = False) -> KnownResources:
        return self._open(self._client, create=create)
