"""The rules of a Secret: variables for processes, encrypted wherever they are stored.

Only the memory of a process that makes or uses a Secret has its values in the clear. No message
here contains a value.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from volfs.errors import DamagedObjectError, InvalidError, NotFoundError, StoreDeniedError
from volfs.model.text import from_stored, to_stored
from volfs.services.keys import (
    EncryptedSecret,
    KeyRing,
    create_key_file,
    find_key_file,
    is_shared,
    load_keys,
    locked,
    make_key,
    replace_key_file,
)
from volfs.services.resources import (
    EVERYTHING,
    SECRET,
    Clock,
    Resource,
    Resources,
    ServiceStore,
    get_resource,
)
from volfs.services.service_tables import SECRETS, USES
from volfs.store.clock import now_ns
from volfs.store.tables import Changing, Reading, end_of_prefix

T = TypeVar("T")
KEY_MAX = 16_384
VALUE_MAX = 32_768
CURRENT = b"current-key"
"""The row that names the key that encrypts. A process with an older file has to read the file
again."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME = struct.Struct("<Q")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EncryptedSecret)
_content = msgspec.msgpack.Decoder(dict[str, str])


class KeyChangedError(StoreDeniedError):
    """The file that was read does not have the key that encrypts: it was rotated, or belongs to
    others."""


def check_values(values: Mapping[str, str]) -> None:
    """InvalidError, in words that contain no value."""
    for name, value in values.items():
        if not _NAME.fullmatch(name) or len(name) > KEY_MAX:
            raise InvalidError(
                f"Invalid key: {name[:64]!r}: use letters, digits and underscores, no digit first"
            )
        if len(value) > VALUE_MAX:
            raise InvalidError(
                f"the value of '{name}' has {len(value):,} characters, at most {VALUE_MAX:,}"
            )
        if "\0" in value:
            raise InvalidError(f"the value of '{name}' has a NUL, which no environment can hold")


class Secrets:
    """The Secrets of a store."""

    def __init__(self, store: ServiceStore, now: Clock = now_ns) -> None:
        self._store = store
        self._tables = store.durable
        self._now = now
        self._resources = Resources(store, SECRET, now)

    # --- making ----------------------------------------------------------

    def create(
        self,
        name: str,
        environment: str,
        values: Mapping[str, str],
        *,
        allow_existing: bool = False,
    ) -> Resource:
        """Create a Secret.

        AlreadyExistsError if it exists, unless ``allow_existing``: then it stays as it is. Creates
        the key file if the store has had no secret yet. InvalidError; StoreDeniedError.
        """
        check_values(values)
        self._make_key_file()

        def make(keys: KeyRing) -> Resource:
            def also(txn: Changing, resource: Resource) -> None:
                self._put(txn, keys, resource, values, version=1)

            return self._resources.create(
                name, environment, allow_existing=allow_existing, also=also
            )

        return self._with_keys(make)

    def update(self, secret_id: str, values: Mapping[str, str], *, replace: bool = False) -> None:
        """Set these values. The others stay, unless ``replace``. NotFoundError; InvalidError."""
        check_values(values)

        def make(keys: KeyRing) -> None:
            def act(txn: Changing) -> None:
                resource = get_resource(txn, secret_id, SECRET)
                self._check_current(txn, keys)
                old = self._get(txn, resource)
                kept = {} if replace else self._decrypt(keys, resource, old)
                self._put(txn, keys, resource, {**kept, **values}, old.version + 1)

            self._tables.change(act)

        self._with_keys(make)

    def move(self, txn: Changing, old: Resource, new: Resource) -> None:
        """Encrypt the Secret ``old`` anew as ``new``. StoreDeniedError without the key."""
        keys = load_keys(self._path)
        encrypted = self._get(txn, old)
        self._put(txn, keys, new, self._decrypt(keys, old, encrypted), encrypted.version + 1)

    def delete(self, name: str, environment: str) -> None:
        """Remove a Secret with its encrypted bytes. NotFoundError."""

        def also(txn: Changing, resource: Resource) -> None:
            for table in (SECRETS, USES):
                txn.delete(table, resource.id.encode())

        self._resources.delete(name, environment, also=also)

    # --- using -----------------------------------------------------------

    def read(self, secret_id: str) -> dict[str, str]:
        """The names and values of a Secret. NotFoundError; StoreDeniedError without the key."""

        def look(txn: Reading) -> tuple[Resource, EncryptedSecret]:
            resource = get_resource(txn, secret_id, SECRET)
            return resource, self._get(txn, resource)

        resource, encrypted = self._tables.read(look)
        while True:
            try:
                return self._decrypt(load_keys(self._path), resource, encrypted)
            except StoreDeniedError:
                # If the key was rotated between the two looks, the row is another one now.
                before, (resource, encrypted) = encrypted, self._tables.read(look)
                if encrypted == before:
                    raise

    def check_keys(self, secret_id: str, required: list[str]) -> None:
        """NotFoundError that names the keys that the Secret lacks."""
        missing = [name for name in required if name not in self.read(secret_id)]
        if missing:
            said = ", ".join(f"'{name}'" for name in missing)
            name = self._resources.get_by_id(secret_id).name or secret_id
            raise NotFoundError(f"Secret '{name}' lacks the required key(s) {said}")

    def note_use(self, secret_id: str) -> None:
        """Note that the Secret was used now."""
        used = _TIME.pack(self._now())
        self._tables.change(lambda txn: txn.put(USES, secret_id.encode(), used))

    def find_last_use(self, secret_id: str) -> int | None:
        """When the Secret was last used, in nanoseconds since 1970; None if never."""
        row = self._tables.read(lambda txn: txn.find(USES, secret_id.encode()))
        return None if row is None else int(_TIME.unpack(row)[0])

    # --- keys ------------------------------------------------------------

    def rotate_key(self) -> tuple[int, Path]:
        """Encrypt the keys of all Secrets with a new key. Returns how many, and the key file.

        The file gets the new key before that key encrypts. It keeps the old keys until nothing
        needs them. A file that was named keeps them for ever, because other stores may need them.
        """
        path = self._path
        with locked(path):
            old = load_keys(path)
            keys = KeyRing(path, [make_key(), *old.keys])
            replace_key_file(path, keys.keys)
            count = self._tables.change(lambda txn: self._rewrap_all(txn, keys))
            if not is_shared():
                replace_key_file(path, keys.keys[:1])
        return count, path

    def _rewrap_all(self, txn: Changing, keys: KeyRing) -> int:
        first = SECRET.prefix.encode()
        rows = txn.scan(SECRETS, first, end_of_prefix(first), EVERYTHING)
        for key, row in rows:
            context = _context(get_resource(txn, key.decode(), SECRET))
            txn.put(SECRETS, key, _encoder.encode(keys.rewrap(_decode(row), context)))
        txn.put(SECRETS, CURRENT, keys.ids[0])
        return len(rows)

    @property
    def _path(self) -> Path:
        return find_key_file(self._store.key_file)

    def _make_key_file(self) -> None:
        """Create the key file, but only for a store without secrets: a new key could not read
        existing ones."""
        current = self._tables.read(lambda txn: txn.find(SECRETS, CURRENT))
        if current is None and not self._path.exists():
            create_key_file(self._path)

    def _with_keys(self, make: Callable[[KeyRing], T]) -> T:
        """Run ``make`` with the keys of the file; once more if they were rotated meanwhile."""
        keys = load_keys(self._path)
        while True:
            try:
                return make(keys)
            except KeyChangedError:
                before, keys = keys, load_keys(self._path)
                if keys.ids == before.ids:
                    raise

    # --- within a transaction --------------------------------------------

    def _put(
        self,
        txn: Changing,
        keys: KeyRing,
        resource: Resource,
        values: Mapping[str, str],
        version: int,
    ) -> None:
        self._check_current(txn, keys)
        txn.put(SECRETS, CURRENT, keys.ids[0])
        encrypted = keys.encrypt(_encode_values(values), _context(resource), version)
        txn.put(SECRETS, resource.id.encode(), _encoder.encode(encrypted))

    def _check_current(self, txn: Reading, keys: KeyRing) -> None:
        current = txn.find(SECRETS, CURRENT)
        if current is not None and current not in keys.ids:
            raise KeyChangedError(
                f"{keys.path} has not the key {current.hex()} that encrypts the secrets of this "
                "store; name the right file in VOLFS_SECRET_KEY_FILE"
            )

    def _get(self, txn: Reading, resource: Resource) -> EncryptedSecret:
        row = txn.find(SECRETS, resource.id.encode())
        if row is None:
            raise DamagedObjectError(f"Secret {resource.id}: what was encrypted is missing")
        return _decode(row)

    def _decrypt(
        self, keys: KeyRing, resource: Resource, encrypted: EncryptedSecret
    ) -> dict[str, str]:
        values = _content.decode(keys.decrypt(encrypted, _context(resource)))
        return {name: from_stored(value) for name, value in values.items()}


def _encode_values(values: Mapping[str, str]) -> bytes:
    """Encode the values. A value may have any bytes but NUL, like a variable of a process."""
    return msgspec.msgpack.encode({name: to_stored(value) for name, value in values.items()})


def _context(resource: Resource) -> bytes:
    """Whose secret it is. Encrypted bytes cannot be opened under another name or id."""
    return "\0".join((resource.id, resource.environment, resource.name)).encode()


def _decode(row: bytes) -> EncryptedSecret:
    try:
        return _decoder.decode(row)
    except msgspec.MsgspecError as error:
        raise DamagedObjectError(f"an encrypted secret: {error}") from error
