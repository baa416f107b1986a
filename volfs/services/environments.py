"""Environments: what divides names, for the resources of a store.

Whoever makes something in an environment makes the environment with it. One that was made
for itself has a row; so has one that is being renamed. Volumes are not known here: of them
and of these an environment is made up in ``volfs/api/environments.py``.
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
    decode_resource,
    encode_resource,
    name_row,
)
from volfs.services.secrets import Secrets
from volfs.services.service_tables import ENVIRONMENTS, NAMES, RESOURCES
from volfs.store.clock import now_ns
from volfs.store.identity import default_author
from volfs.store.tables import Changing, Reading, TableStore

KINDS = (DICT, QUEUE, SECRET)


class EnvironmentRow(msgspec.Struct, frozen=True):
    """An environment that somebody made."""

    name: str
    created_ns: int
    created_by: str
    former: str = ""
    """What it was called, while it is being renamed: volumes may still be called so."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EnvironmentRow)


class Environments:
    """The environments of a store, as far as its tables tell them."""

    def __init__(self, store: TableStore, now: Clock = now_ns) -> None:
        self._store = store
        self._tables = store.durable
        self._now = now

    def list_rows(self) -> dict[str, EnvironmentRow]:
        """Those that somebody made, by name."""
        rows = self._tables.read(lambda txn: txn.scan(ENVIRONMENTS, b"\0", b"\xff", EVERYTHING))
        return {key.decode(): _decode(key, row) for key, row in rows}

    def list_resources(self) -> dict[str, dict[ResourceKind, list[str]]]:
        """The names there are, by environment and kind; none that has nothing."""
        found: dict[str, dict[ResourceKind, list[str]]] = {}
        for kind in KINDS:
            for environment, name in Resources(self._store, kind).list_names():
                found.setdefault(environment, {}).setdefault(kind, []).append(name)
        return found

    def create(self, name: str) -> None:
        """AlreadyExistsError where it has a row; InvalidNameError."""
        row = EnvironmentRow(check_environment(name, is_new=True), self._now(), default_author())

        def act(txn: Changing) -> None:
            if txn.find(ENVIRONMENTS, name.encode()) is not None:
                raise AlreadyExistsError(f"Environment '{name}' already exists")
            _put(txn, row)

        self._tables.change(act)

    def remove(self, name: str) -> None:
        """Take its row away, if it has one. What is in it keeps it there."""
        self._tables.change(lambda txn: txn.delete(ENVIRONMENTS, name.encode()), adds=None)

    def delete_resources(self, name: str) -> None:
        """Remove all that has a name in it, as ``delete`` of each kind does."""
        for kind, names in self.list_resources().get(name, {}).items():
            for one in names:
                if kind == SECRET:
                    Secrets(self._store).delete(one, name)
                else:
                    Resources(self._store, kind).delete(one, name)

    # --- renaming --------------------------------------------------------

    def begin_rename(self, old: str, new: str) -> None:
        """Let all resources of one belong to the other; its volumes have to follow.

        May be repeated until ``end_rename``. Secrets are sealed anew: StoreDeniedError
        without their key. AlreadyExistsError where there is something of the new name;
        ConflictError where that is being renamed from another.
        """
        check_environment(new, is_new=True)

        def act(txn: Changing) -> None:
            before = _find(txn, new)
            _check_goal(txn, before, old, new)
            origin = _find(txn, old) or before or EnvironmentRow(old, self._now(), default_author())
            for resource in _list_in(txn, old):
                self._move(txn, resource, new)
            txn.delete(ENVIRONMENTS, old.encode())
            _put(txn, msgspec.structs.replace(origin, name=new, former=old))

        self._tables.change(act)

    def end_rename(self, new: str) -> None:
        """The volumes have followed."""

        def act(txn: Changing) -> None:
            row = _find(txn, new)
            if row is not None:
                _put(txn, msgspec.structs.replace(row, former=""))

        self._tables.change(act)

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


def _check_goal(txn: Reading, row: EnvironmentRow | None, old: str, new: str) -> None:
    if row is not None and row.former == old:
        return  # to be gone on with
    if row is not None and row.former:
        raise ConflictError(
            f"Environment '{new}' is being renamed from '{row.former}'; finish that first: "
            f"volfs environment update {row.former} --set-name {new}"
        )
    if row is not None or new == MAIN or any(one.name for one in _list_in(txn, new)):
        raise AlreadyExistsError(f"Environment '{new}' already exists")


def _list_in(txn: Reading, environment: str) -> list[Resource]:
    """Also those without a name."""
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
