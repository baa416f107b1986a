"""Resources: the Dicts, Queues and Secrets of a store, by name and by id.

A name belongs to an environment: the same name in two environments is two resources. An
*ephemeral* resource has no name, and is removed when its owner has not renewed it for a while.
What a removed resource contained are its *remains*: they cannot be reached any more, and later
calls remove them in pieces.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from volfs.errors import AlreadyExistsError, DamagedObjectError, InvalidNameError, NotFoundError
from volfs.model.names import check_environment
from volfs.model.text import from_stored, to_stored
from volfs.services.service_tables import EPHEMERAL, NAMES, REMAINS, RESOURCES
from volfs.store.clock import Moment, Steady, now_ns
from volfs.store.elapsed import Wait, begin_wait, decode_wait, look_again
from volfs.store.identity import default_author, make_id
from volfs.store.tables import Changing, Reading, Tables, TableStore, end_of_prefix

Clock = Callable[[], int]
"""The present time in nanoseconds since 1970."""
EPHEMERAL_NS = 15 * 60 * 10**9
"""How long an ephemeral resource is kept after its owner renewed it, by a clock that nobody can
set.

In another run of the machine it is kept for at least half as long, because the containers that use
a store may disagree about which run it is.
"""
EVERYTHING = 1 << 30
_KEY_MAX = 500
"""The longest key of a table in bytes. The keys of valid names are shorter."""
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,64}")
_OLDER = struct.Struct("<Q16s")
_NEVER = (1 << 63) - 1
_APP_ID = re.compile(r"ap-[a-zA-Z0-9]{22}")


class ResourceStore(Protocol):
    """Where resources are kept: rows that say which there are, and what they contain."""

    @property
    def durable(self) -> Tables: ...

    def read_moment(self) -> Moment:
        """Now, by the clocks that tell how long an ephemeral resource has not been renewed."""

    def remove_contents(self, resource_id: str) -> None:
        """Remove what a resource contained whose row is gone. It may be repeated."""


class ServiceStore(TableStore, ResourceStore, Protocol):
    """The tables of a store, with resources in them."""


class ResourceKind(NamedTuple):
    """A kind of resource: how its ids begin, and what it is called."""

    prefix: str
    noun: str
    is_shared: bool = False
    """Whether its resources may be kept on a table server, apart from the store."""


DICT, QUEUE, SECRET = (
    ResourceKind("di", "Dict", is_shared=True),
    ResourceKind("qu", "Queue", is_shared=True),
    ResourceKind("st", "Secret"),
)
VOLUME, NETWORK = ResourceKind("vo", "Volume"), ResourceKind("sv", "NetworkFileSystem")
"""Only ephemeral volumes are resources. As long as one exists, its volume is needed."""


class Resource(msgspec.Struct, frozen=True):
    """The facts of a resource that never change. An ephemeral one has no name."""

    id: str
    name: str
    environment: str
    created_ns: int
    created_by: str


Also = Callable[[Changing, Resource], object]
"""A change that happens in the transaction that creates or removes a resource."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Resource)


def check_name(noun: str, name: str) -> str:
    """Return ``name``. InvalidNameError, in Modal's words."""
    if not _NAME.fullmatch(name) or _APP_ID.fullmatch(name) or name in (".", ".."):
        raise InvalidNameError(
            f"Invalid {noun} name: '{name}'.\n\nNames may contain only alphanumeric characters, "
            "dashes, periods, and underscores, must be shorter than 64 characters, and cannot "
            "conflict with App ID strings."
        )
    return name


class Resources:
    """The resources of one kind in a store."""

    def __init__(
        self,
        store: ResourceStore,
        kind: ResourceKind,
        now: Clock = now_ns,
        moment: Callable[[], Moment] | None = None,
    ) -> None:
        self._store = store
        self._tables = store.durable
        self._kind = kind
        self._now = now
        self._moment = moment or store.read_moment

    # --- making ----------------------------------------------------------

    def create(
        self,
        name: str,
        environment: str,
        *,
        allow_existing: bool = False,
        also: Also | None = None,
    ) -> Resource:
        """Create a resource, or return the existing one. AlreadyExistsError; InvalidNameError.

        ``also`` happens only if the resource is created.
        """
        key = self._key(check_name(self._kind.noun, name), environment)
        new = self._make(name, environment)

        def act(txn: Changing) -> Resource:
            if (known := txn.find(NAMES, key)) is not None:
                if not allow_existing:
                    raise AlreadyExistsError(
                        f"{self._kind.noun} '{name}' already exists in environment '{environment}'"
                    )
                return get_resource(txn, known.decode(), self._kind)
            self._put(txn, new)
            txn.put(NAMES, key, new.id.encode())
            if also is not None:
                also(txn, new)
            return new

        sweep_remains(self._store)
        return self._tables.change(act)

    def create_ephemeral(self, environment: str) -> Resource:
        """Create a resource without a name, which is kept for ``EPHEMERAL_NS`` unless it is
        renewed."""
        self.remove_lapsed()
        new = self._make("", environment)

        def act(txn: Changing) -> None:
            self._put(txn, new)
            txn.put(EPHEMERAL, new.id.encode(), begin_wait(self._moment()).encode())

        self._tables.change(act)
        return new

    def renew(self, resource_id: str) -> None:
        """Keep an ephemeral resource for another ``EPHEMERAL_NS``. NotFoundError."""

        def act(txn: Changing) -> None:
            get_resource(txn, resource_id, self._kind)
            txn.put(EPHEMERAL, resource_id.encode(), begin_wait(self._moment()).encode())

        self._tables.change(act)

    def _make(self, name: str, environment: str) -> Resource:
        check_environment(environment)
        made = self._now(), default_author()
        return Resource(make_id(self._kind.prefix), name, environment, *made)

    def _put(self, txn: Changing, resource: Resource) -> None:
        txn.put(RESOURCES, resource.id.encode(), encode_resource(resource))

    # --- looking ---------------------------------------------------------

    def get(self, name: str, environment: str) -> Resource:
        """The resource of that name. NotFoundError."""

        def look(txn: Reading) -> Resource:
            known = txn.find(NAMES, self._key(name, environment))
            if known is None:
                raise NotFoundError(
                    f"{self._kind.noun} '{name}' not found in environment '{environment}'"
                )
            return get_resource(txn, known.decode(), self._kind)

        return self._tables.read(look)

    def get_by_id(self, resource_id: str) -> Resource:
        """The resource with that id. NotFoundError."""
        return self._tables.read(lambda txn: get_resource(txn, resource_id, self._kind))

    def list_all(self, environment: str) -> list[Resource]:
        """The resources with a name, newest first."""
        first = self._key("", environment)

        def look(txn: Reading) -> list[Resource]:
            rows = txn.scan(NAMES, first, end_of_prefix(first), EVERYTHING)
            return [get_resource(txn, known.decode(), self._kind) for _, known in rows]

        return sorted(self._tables.read(look), key=lambda r: (-r.created_ns, r.name))

    def list_names(self) -> list[tuple[str, str]]:
        """The names in all environments: environment and name."""
        first = f"{self._kind.prefix}/".encode()
        rows = self._tables.read(
            lambda txn: txn.scan(NAMES, first, end_of_prefix(first), EVERYTHING)
        )
        parts = (key.decode().split("/", 2) for key, _ in rows)
        return [(environment, name) for _, environment, name in parts]

    def _key(self, name: str, environment: str) -> bytes:
        return _name_key(self._kind.prefix, environment, name)

    # --- removing --------------------------------------------------------

    def delete(self, name: str, environment: str, *, also: Also | None = None) -> None:
        """Remove a resource and what it contains. NotFoundError."""

        def act(txn: Changing) -> None:
            known = txn.find(NAMES, self._key(name, environment))
            if known is None:
                raise NotFoundError(
                    f"{self._kind.noun} '{name}' not found in environment '{environment}'"
                )
            self._remove(txn, get_resource(txn, known.decode(), self._kind), also)

        self._tables.change(act, adds=None)
        sweep_remains(self._store)

    def delete_by_id(self, resource_id: str, *, also: Also | None = None) -> None:
        """As ``delete``. NotFoundError."""

        def act(txn: Changing) -> None:
            self._remove(txn, get_resource(txn, resource_id, self._kind), also)

        self._tables.change(act, adds=None)
        sweep_remains(self._store)

    def _remove(self, txn: Changing, resource: Resource, also: Also | None = None) -> None:
        key = resource.id.encode()
        txn.delete(RESOURCES, key)
        txn.delete(EPHEMERAL, key)
        if resource.name:
            txn.delete(NAMES, self._key(resource.name, resource.environment))
        txn.put(REMAINS, key, b"")
        if also is not None:
            also(txn, resource)

    def remove_lapsed(self) -> None:
        """Remove the ephemeral resources of this kind that nobody has renewed in time."""
        first = f"{self._kind.prefix}-".encode()

        def act(txn: Changing) -> None:
            for key, row in txn.scan(EPHEMERAL, first, end_of_prefix(first), EVERYTHING):
                waited, news = look_again(_decode_wait(row), self._moment(), EPHEMERAL_NS)
                if waited >= EPHEMERAL_NS:
                    self._remove(txn, get_resource(txn, key.decode(), self._kind))
                elif news is not None:
                    txn.put(EPHEMERAL, key, news.encode())

        self._tables.change(act, adds=None)
        sweep_remains(self._store)


def name_row(resource: Resource) -> bytes:
    """The key of the row of a resource's name."""
    return _name_key(resource.id.partition("-")[0], resource.environment, resource.name)


def _name_key(prefix: str, environment: str, name: str) -> bytes:
    return to_stored(f"{prefix}/{environment}/{name}").encode()[:_KEY_MAX]


def get_resource(txn: Reading, resource_id: str, kind: ResourceKind) -> Resource:
    """The resource with that id. NotFoundError if there is none, or if it is of another kind."""
    row = txn.find(RESOURCES, to_stored(resource_id).encode()[:100]) if resource_id else None
    if row is None or not resource_id.startswith(kind.prefix):
        raise NotFoundError(f"{kind.noun} '{resource_id}' not found; it was deleted, or never was")
    return decode_resource(resource_id, row)


def decode_resource(resource_id: str, row: bytes) -> Resource:
    """Decode a row. DamagedObjectError."""
    try:
        resource = _decoder.decode(row)
        return msgspec.structs.replace(resource, created_by=from_stored(resource.created_by))
    except ValueError as error:
        raise DamagedObjectError(f"resource {resource_id}: its record: {error}") from error


def _decode_wait(row: bytes) -> Wait:
    """The wait of a row. Rows of older versions of volfs have the run and the time at which the
    resource lapses, but no date."""
    if len(row) != _OLDER.size:
        return decode_wait(row)
    until, boot = _OLDER.unpack(row)
    return Wait(Steady(boot, max(0, until - EPHEMERAL_NS)), _NEVER, 0)


def encode_resource(resource: Resource) -> bytes:
    return _encoder.encode(
        msgspec.structs.replace(resource, created_by=to_stored(resource.created_by))
    )


# --- what removed resources leave -------------------------------------------


def sweep_remains(store: ResourceStore) -> None:
    """Remove what deleted resources contained."""
    remains = store.durable.read(lambda txn: txn.scan(REMAINS, b"\0", b"\xff", EVERYTHING))
    for key, _ in remains:
        store.remove_contents(key.decode())
        _forget_remains(store.durable, key)


def _forget_remains(tables: Tables, key: bytes) -> None:
    tables.change(lambda txn: txn.delete(REMAINS, key), adds=None)
