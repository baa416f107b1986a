"""Environments: the names of a store's resources are unique in each.

Creating something in an environment creates the environment. An environment has a row only if
somebody created it by itself, or while it is being renamed. Volumes are not known here:
``volfs/api/environments.py`` puts volumes and resources together.
"""

from __future__ import annotations

import msgspec

from volfs.errors import AlreadyExistsError, ConflictError, DamagedObjectError
from volfs.model.names import MAIN, check_environment
from volfs.model.text import from_stored, to_stored
from volfs.services.resources import (
    DICT,
    EVERYTHING,
    QUEUE,
    SECRET,
    Clock,
    Resource,
    ResourceKind,
    Resources,
    ResourceStore,
    ServiceStore,
    decode_resource,
    encode_resource,
    name_row,
)
from volfs.services.secrets import Secrets
from volfs.services.service_tables import ENVIRONMENTS, NAMES, RESOURCES
from volfs.store.clock import now_ns
from volfs.store.identity import default_author
from volfs.store.tables import Changing, Reading

KINDS = (DICT, QUEUE, SECRET)


class EnvironmentRow(msgspec.Struct, frozen=True):
    """An environment that somebody made."""

    name: str
    created_ns: int
    created_by: str
    former: str = ""
    """The former name while the environment is being renamed: volumes may still have that one."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EnvironmentRow)


class Environments:
    """The environments of a store, as far as its tables know them."""

    def __init__(
        self, store: ServiceStore, shared: ResourceStore | None = None, now: Clock = now_ns
    ) -> None:
        """``shared`` is where Dicts and Queues are, if that is not ``store``."""
        self._store = store
        self._shared = shared or store
        self._tables = store.durable
        self._now = now

    def list_rows(self) -> dict[str, EnvironmentRow]:
        """The environments that somebody created, by name."""
        rows = self._tables.read(lambda txn: txn.scan(ENVIRONMENTS, b"\0", b"\xff", EVERYTHING))
        return {key.decode(): _decode(key, row) for key, row in rows}

    def list_resources(self) -> dict[str, dict[ResourceKind, list[str]]]:
        """The names of resources, by environment and kind. An environment without resources is
        left out."""
        found: dict[str, dict[ResourceKind, list[str]]] = {}
        for kind in KINDS:
            for environment, name in self._open(kind).list_names():
                found.setdefault(environment, {}).setdefault(kind, []).append(name)
        return found

    def create(self, name: str) -> None:
        """Create an environment. AlreadyExistsError if it has a row; InvalidNameError."""
        row = EnvironmentRow(check_environment(name, is_new=True), self._now(), default_author())

        def act(txn: Changing) -> None:
            if txn.find(ENVIRONMENTS, name.encode()) is not None:
                raise AlreadyExistsError(f"Environment '{name}' already exists")
            _put(txn, row)

        self._tables.change(act)

    def remove(self, name: str) -> None:
        """Remove the row of an environment, if it has one. The environment exists as long as
        something is in it."""
        self._tables.change(lambda txn: txn.delete(ENVIRONMENTS, name.encode()), adds=None)

    def delete_resources(self, name: str) -> None:
        """Remove every named resource of an environment, as ``delete`` of each kind does."""
        for kind, names in self.list_resources().get(name, {}).items():
            for one in names:
                if kind == SECRET:
                    Secrets(self._store).delete(one, name)
                else:
                    self._open(kind).delete(one, name)

    def _open(self, kind: ResourceKind) -> Resources:
        return Resources(self._shared if kind.is_shared else self._store, kind)

    # --- renaming --------------------------------------------------------

    def begin_rename(self, old: str, new: str) -> None:
        """Move all resources of ``old`` to ``new``. The caller then moves the volumes.

        What is kept apart from the store is moved after what is in it. This may be repeated until
        ``end_rename``. Secrets are encrypted anew: StoreDeniedError without their key.
        AlreadyExistsError if something of the new name exists; ConflictError if that environment
        is being renamed from another one.
        """
        check_environment(new, is_new=True)
        apart = self._shared is not self._store
        taken = apart and self._shared.durable.read(lambda txn: _has_named(txn, new))

        def act(txn: Changing) -> None:
            before = _find(txn, new)
            _check_goal(txn, before, old, new, taken)
            origin = _find(txn, old) or before or EnvironmentRow(old, self._now(), default_author())
            self._move_all(txn, old, new)
            txn.delete(ENVIRONMENTS, old.encode())
            _put(txn, msgspec.structs.replace(origin, name=new, former=old))

        self._tables.change(act)
        if apart:
            self._shared.durable.change(lambda txn: self._move_all(txn, old, new))

    def end_rename(self, new: str) -> None:
        """The volumes have been moved: forget the former name."""

        def act(txn: Changing) -> None:
            row = _find(txn, new)
            if row is not None:
                _put(txn, msgspec.structs.replace(row, former=""))

        self._tables.change(act)

    def _move_all(self, txn: Changing, old: str, new: str) -> None:
        for resource in _list_in(txn, old):
            self._move(txn, resource, new)

    def _move(self, txn: Changing, resource: Resource, environment: str) -> None:
        moved = msgspec.structs.replace(resource, environment=environment)
        txn.put(RESOURCES, resource.id.encode(), encode_resource(moved))
        if resource.name:
            if txn.find(NAMES, name_row(moved)) is not None:
                raise AlreadyExistsError(f"'{moved.name}' is in environment '{environment}', too")
            txn.delete(NAMES, name_row(resource))
            txn.put(NAMES, name_row(moved), resource.id.encode())
        if resource.id.startswith(SECRET.prefix):
            Secrets(self._store).move(txn, resource, moved)


def _check_goal(txn: Reading, row: EnvironmentRow | None, old: str, new: str, taken: bool) -> None:
    if row is not None and row.former == old:
        return  # The rename goes on.
    if row is not None and row.former:
        raise ConflictError(
            f"Environment '{new}' is being renamed from '{row.former}'; finish that first: "
            f"volfs environment update {row.former} --set-name {new}"
        )
    if row is not None or new == MAIN or taken or _has_named(txn, new):
        raise AlreadyExistsError(f"Environment '{new}' already exists")


def _has_named(txn: Reading, environment: str) -> bool:
    return any(one.name for one in _list_in(txn, environment))


def _list_in(txn: Reading, environment: str) -> list[Resource]:
    """All resources of an environment, including those without a name."""
    rows = txn.scan(RESOURCES, b"\0", b"\xff", EVERYTHING)
    found = (decode_resource(key.decode(), row) for key, row in rows)
    return [resource for resource in found if resource.environment == environment]


def _find(txn: Reading, name: str) -> EnvironmentRow | None:
    row = txn.find(ENVIRONMENTS, name.encode())
    return None if row is None else _decode(name.encode(), row)


def _put(txn: Changing, row: EnvironmentRow) -> None:
    stored = msgspec.structs.replace(row, created_by=to_stored(row.created_by))
    txn.put(ENVIRONMENTS, row.name.encode(), _encoder.encode(stored))


def _decode(key: bytes, row: bytes) -> EnvironmentRow:
    try:
        found = _decoder.decode(row)
        return msgspec.structs.replace(found, created_by=from_stored(found.created_by))
    except ValueError as error:
        said = key.decode(errors="replace")
        raise DamagedObjectError(f"Environment '{said}': its row: {error}") from error
