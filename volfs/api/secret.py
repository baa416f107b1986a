"""``volfs.Secret``: values for the environment of containers, in Modal's shape.

A Secret never shows its values: not in ``repr``, not in an error, and not in a pickle, because
that might be stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

from volfs.api.client import Client, default_environment, find_client
from volfs.api.dotenv_file import read_dotenv
from volfs.api.resource import NamedResources, ResourceHandle, ResourceInfo, check_given, local_time
from volfs.api.twins import blocking
from volfs.containers.messages import is_local
from volfs.errors import InvalidError, NotFoundError, SerializationError
from volfs.model.names import MAIN
from volfs.services.resources import SECRET, Resource, check_name
from volfs.services.secrets import Secrets, check_values

_WRONG = "the env_dict argument to Secret has to be a dict[str, Union[str, None]], got "


@dataclass(frozen=True)
class SecretInfo(ResourceInfo):
    """The facts of other resources, and two more. ``last_used`` is None if no container has had
    the Secret yet."""

    environment_name: str = ""
    last_used: datetime | None = None


class SecretObjects(NamedResources["Secret"]):
    """``Secret.objects``."""

    @blocking
    def create(  # type: ignore[override]
        self,
        name: str,
        env_dict: dict[str, str],
        *,
        allow_existing: bool = False,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> None:
        """Store values under a name. With ``allow_existing``, a Secret that exists keeps its
        values.

        AlreadyExistsError; InvalidError. The first Secret makes the store's key file.
        """
        check_name("Secret", name)
        values = _check(env_dict)
        Secrets(find_client(client).tables(create=True)).create(
            name, default_environment(environment_name), values, allow_existing=allow_existing
        )

    def _delete(self, client: Client | None, name: str, environment: str) -> None:
        Secrets(find_client(client).tables()).delete(name, environment)


class Secret(ResourceHandle):
    """A handle on values that are stored under a name, or were given in this process."""

    _kind = SECRET
    _info = SecretInfo
    objects: ClassVar[SecretObjects]
    _values: Callable[[], dict[str, str]] | None
    """A function that returns the values of a Secret that is not stored."""

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        environment_name: str | None = None,
        required_keys: list[str] | None = None,
        client: Client | None = None,
    ) -> Self:
        """A handle on the stored Secret of this name, which is looked up at its first use.

        The first use raises NotFoundError if there is no such Secret, or if it lacks one of
        ``required_keys``.
        """
        check_given(environment_name)

        def find(handle: ResourceHandle) -> Resource:
            environment = default_environment(handle._environment)
            try:
                resource = handle._resources().get(name, environment)
            except NotFoundError as error:
                where = "" if environment == MAIN else f"-e {environment} "
                raise NotFoundError(
                    f"{error}; make it: volfs secret create {where}{name} KEY=VALUE"
                ) from None
            Secrets(handle.client.tables()).check_keys(resource.id, list(required_keys or []))
            return resource

        return cls._make_named(find, client, name, environment_name)

    @classmethod
    def _make(
        cls,
        find: Callable[[ResourceHandle], Resource],
        client: Client | None,
        name: str | None,
        where: str,
    ) -> Self:
        handle = super()._make(find, client, name, where)
        handle._values = None
        return handle

    @classmethod
    def _from_values(cls, values: Callable[[], dict[str, str]], where: str) -> Self:
        def find(handle: ResourceHandle) -> NoReturn:
            raise InvalidError(f"{handle!r} is not stored, and has neither id nor facts")

        handle = cls._make(find, None, None, where)
        handle._values = values
        return handle

    @classmethod
    def from_dict(cls, env_dict: Mapping[str, str | None] | None = None) -> Self:
        """A Secret of these values, which is not stored. Names with the value None are left out.
        InvalidError."""
        values = _check({} if env_dict is None else env_dict)
        return cls._from_values(lambda: values, "from_dict")

    @classmethod
    def from_local_environ(cls, env_keys: list[str]) -> Self:
        """A Secret of variables of this process, which is not stored. InvalidError at once if one
        is not set.

        In a function's container it is empty, because the process that started the container has
        set the variables there.
        """
        if not is_local():
            return cls.from_dict({})
        for key in env_keys:
            if key not in os.environ:
                raise InvalidError(
                    f"Could not find local environment variable '{key}' "
                    "for Secret.from_local_environ"
                )
        return cls.from_dict({key: os.environ[key] for key in env_keys})

    @classmethod
    def from_dotenv(
        cls,
        path: str | Path | None = None,
        *,
        filename: str = ".env",
        client: Client | None = None,
    ) -> Self:
        """A Secret of the variables in a ``.env`` file, which is not stored.

        The file is looked for at the first use: in the directory ``path`` (or that of the file
        ``path``), or in the current directory, and then in the directories above. Without a file
        the Secret is empty. The first use raises InvalidError for a line without a value.
        """
        return cls._from_values(lambda: _read_dotenv(path, filename), "from_dotenv")

    # --- reading, changing -----------------------------------------------

    def _hydrate(self) -> None:
        if self._values is None:
            super()._hydrate()

    @blocking
    def info(self, *, refresh: bool = False) -> SecretInfo:  # type: ignore[override]
        """The facts about a stored Secret, always as of now. NotFoundError."""
        object_id = self.object_id
        resource = self._resources().get_by_id(object_id)
        used = self._last_use()
        return SecretInfo(
            resource.name,
            local_time(resource.created_ns),
            resource.created_by,
            resource.environment,
            None if used is None else local_time(used),
        )

    def _last_use(self) -> int | None:
        """The time of the last use in nanoseconds since 1970; None if there was none."""
        return Secrets(self._tables()).find_last_use(self.object_id)

    @blocking
    def update(self, env_dict: dict[str, str]) -> None:
        """Set these values. The other values stay. Containers that start from now on get them."""
        values = _check(env_dict)
        Secrets(self._tables()).update(self.object_id, values)

    @blocking
    def _replace(self, env_dict: dict[str, str]) -> None:
        """Set these values, and remove all others."""
        Secrets(self._tables()).update(self.object_id, _check(env_dict), replace=True)

    def _read(self) -> dict[str, str]:
        if self._values is not None:
            return self._values()
        rows = Secrets(self._tables())
        values = rows.read(self.object_id)
        rows.note_use(self.object_id)
        return values

    def _tables(self) -> Any:
        self._resource()
        return self.client.tables()

    def __repr__(self) -> str:
        said = f"name={self.name!r}" if self.name else self._where
        return f"volfs.Secret({said})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._values is not None:
            raise SerializationError(
                "a Secret that was made from values cannot be pickled: it would show them; "
                "store it with Secret.objects.create and use Secret.from_name"
            )
        return super().__reduce__()


Secret.objects = SecretObjects(Secret)


def read_environment(secrets: Iterable[Secret]) -> dict[str, str]:
    """The variables for a process that is given these Secrets. Later Secrets win.

    NotFoundError; StoreDeniedError without the key file.
    """
    environment: dict[str, str] = {}
    for secret in secrets:
        environment |= secret.get_for_app()._read()
    return environment


def _check(env_dict: Any) -> dict[str, str]:
    """A copy without the names that have the value None. InvalidError, which shows types and no
    values."""
    if not isinstance(env_dict, Mapping):
        raise InvalidError(_WRONG + type(env_dict).__name__)
    for key, value in env_dict.items():
        if not isinstance(key, str):
            raise InvalidError(f"{_WRONG}a key of type {type(key).__name__}")
        if not isinstance(value, str | None):
            raise InvalidError(f"{_WRONG}{type(value).__name__} for key {key[:64]!r}")
    values = {key: value for key, value in env_dict.items() if value is not None}
    check_values(values)
    return values


def _read_dotenv(path: str | Path | None, filename: str) -> dict[str, str]:
    start = Path.cwd() if path is None else Path(path).absolute()
    if not start.exists():
        raise FileNotFoundError(f"Starting path not found: {start}")
    first = start if start.is_dir() else start.parent
    for directory in (first, *first.parents):
        if (directory / filename).is_file():
            return _check(read_dotenv(directory / filename))
    return {}
