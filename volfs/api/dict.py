"""``volfs.Dict``: a map that all processes share, in Modal's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from volfs.api.client import Client
from volfs.api.deprecated import warn_of
from volfs.api.resource import Ephemeral, NamedHandle, NamedResources, ResourceInfo
from volfs.api.twins import blocking, blocking_iterator, opening_class
from volfs.containers.pickling import dump, load
from volfs.services.dicts import Dicts
from volfs.services.resources import DICT

_REQUIRED: Any = object()


class DictInfo(ResourceInfo):
    """Name, creation time and creator of a Dict."""


class Dict(NamedHandle):
    """A handle on a map. Keys and values are anything that cloudpickle takes. Two keys are the
    same if their bytes are equal.

    An entry that nobody has read or written for seven days expires.
    """

    _kind = DICT
    _info = DictInfo
    objects: ClassVar[NamedResources[Dict]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError(
            "`Dict(...)` constructor is not allowed. "
            "Please use `Dict.from_name` or `Dict.ephemeral` instead"
        )

    @classmethod
    def persist(cls, name: str, *, environment_name: str | None = None) -> Self:
        """``from_name`` with ``create_if_missing``. Warns with DeprecationError."""
        warn_of("Dict.persist", "Dict.from_name(name, create_if_missing=True)")
        return cls.from_name(name, environment_name=environment_name, create_if_missing=True)

    persisted = persist

    @opening_class
    @classmethod
    def ephemeral(
        cls, *, client: Client | None = None, environment_name: str | None = None
    ) -> Ephemeral[Self]:
        """A Dict without a name, for a ``with`` or ``async with`` block."""
        return Ephemeral(cls, environment_name, client)

    # --- one key ---------------------------------------------------------

    @blocking
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or ``default``. DeserializationError."""
        data = self._rows().find(self.object_id, self._key(key))
        return default if data is None else self._load(key, data)

    @blocking
    def contains(self, key: Any) -> bool:
        """Whether there is an entry. The call does not put off the entry's expiry."""
        return self._rows().contains(self.object_id, self._key(key))

    @blocking
    def put(
        self, key: Any, value: Any, *, skip_if_exists: bool = False, ttl: float | None = None
    ) -> bool:
        """Write an entry. False if ``skip_if_exists`` and there was one.

        With ``ttl`` the entry expires after so many seconds, whether it is used or not. Without
        ``ttl`` it expires after seven days without use. RequestSizeError beyond 100 MiB;
        SerializationError.
        """
        return self._rows().put(
            self.object_id,
            self._key(key),
            self._dump(key, value),
            ttl=ttl,
            only_new=skip_if_exists,
        )

    @blocking
    def pop(self, key: Any, default: Any = _REQUIRED) -> Any:
        """Remove an entry and return its value. If there is none, return ``default``, or raise
        KeyError."""
        data = self._rows().pop(self.object_id, self._key(key))
        if data is not None:
            return self._load(key, data)
        if default is _REQUIRED:
            raise self._missing(key)
        return default

    @blocking
    def compare_and_set(self, key: Any, expected: Any, value: Any) -> bool:
        """Write ``value`` if the entry's value equals (``==``) ``expected``, and return whether it
        did.

        An absent entry equals nothing: see ``put(skip_if_exists=True)``.
        """
        rows, at, new = self._rows(), self._key(key), self._dump(key, value)
        while (old := rows.find(self.object_id, at)) is not None:
            if self._load(key, old) != expected:
                return False
            if rows.swap(self.object_id, at, old, new):
                return True
        return False

    @blocking
    def change(self, key: Any, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Replace the value, or ``default``, by ``function`` of it, and return the new value. No
        other write is lost.

        ``function`` is called again if another process wrote in the meantime.
        """
        rows, at = self._rows(), self._key(key)
        while True:
            old = rows.find(self.object_id, at)
            new = function(default if old is None else self._load(key, old))
            if rows.swap(self.object_id, at, old, self._dump(key, new)):
                return new

    @blocking
    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, _REQUIRED)
        if value is _REQUIRED:
            raise self._missing(key)
        return value

    @blocking
    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    @blocking
    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    @blocking
    def __contains__(self, key: Any) -> bool:
        return self.contains(key)

    # --- all keys --------------------------------------------------------

    @blocking
    def update(self, other: Mapping[Any, Any] | None = None, /, **kwargs: Any) -> None:
        """Write many entries at once, all or none. RequestSizeError beyond 10,000 entries."""
        items = {**(other or {}), **kwargs}.items()
        pairs = [(self._key(key), self._dump(key, value)) for key, value in items]
        self._rows().update(self.object_id, pairs)

    @blocking
    def clear(self) -> None:
        """Remove all entries."""
        self._rows().clear(self.object_id)

    @blocking
    def len(self) -> int:
        """The number of entries. The call looks at each entry."""
        return self._rows().count(self.object_id)

    @blocking_iterator
    def keys(self) -> Iterator[Any]:
        """Each key once, in no order. Entries that are put or removed in the meantime may appear
        or not."""
        for key in self._rows().iter_keys(self.object_id):
            yield load(key, f"a key of {self._said()}")

    @blocking_iterator
    def values(self) -> Iterator[Any]:
        """The values, with the rules of ``keys``."""
        for _, value in self._iter_items():
            yield value

    @blocking_iterator
    def items(self) -> Iterator[tuple[Any, Any]]:
        """The pairs of key and value, with the rules of ``keys``."""
        yield from self._iter_items()

    def __len__(self) -> int:
        return self.len()

    def __bool__(self) -> bool:
        # A handle is always true, so that a truth test does not count the entries.
        return True

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def iterate_keys(self) -> Any:
        """As ``keys.aio()``."""
        return self.keys.aio()

    def iterate_values(self) -> Any:
        """As ``values.aio()``."""
        return self.values.aio()

    def iterate_items(self) -> Any:
        """As ``items.aio()``."""
        return self.items.aio()

    def _iter_items(self) -> Iterator[tuple[Any, Any]]:
        for at, data in self._rows().iter_items(self.object_id):
            key = load(at, f"a key of {self._said()}")
            yield key, self._load(key, data)

    # --- bytes -----------------------------------------------------------

    def _rows(self) -> Dicts:
        self._resource()
        return self.client.shared().dicts()

    def _key(self, key: Any) -> bytes:
        return dump(key, f"a key of {self._said()}")

    def _dump(self, key: Any, value: Any) -> bytes:
        return dump(value, f"value for key {key!r} of {self._said()}")

    def _load(self, key: Any, data: bytes) -> Any:
        return load(data, f"value for key {key!r} from {self._said()}")

    def _said(self) -> str:
        return f"Dict '{self.name}'" if self.name else f"ephemeral Dict {self.object_id}"

    def _missing(self, key: Any) -> KeyError:
        return KeyError(f"{key} not in dict {self.object_id}")


Dict.objects = NamedResources(Dict)
