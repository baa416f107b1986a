"""Names of things that Modal has and one machine does not: Sandbox, Proxy, Workspace, …

They may be imported, named in annotations and passed on. Handles that Modal makes without asking a
server (``Proxy.from_name``) are made here as well. Anything that would have to act raises
UnimplementedError, which gives the reason and says what to use instead.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from volfs.api.apps.notes import note, refuse


class Refusal:
    """A stand-in for a method or function. Calling it, also as ``aio``, raises UnimplementedError
    with the reason."""

    def __init__(self, name: str, why: str) -> None:
        self.__name__ = name
        self._why = why

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        refuse(self.__name__, self._why)

    aio = __call__

    def __getattr__(self, name: str) -> Refusal:
        """A method of the object that this stands for."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Refusal(f"{self.__name__}.{name}", self._why)

    def __repr__(self) -> str:
        return f"<{self.__name__}, which volfs does not have>"


class StandInType(type):
    """The type of stand-in classes. Each has a reason ``why``, and the public names of Modal's
    class."""

    why: str
    methods: frozenset[str]
    lazy: frozenset[str]
    """The names of those methods that only give a handle, and do nothing else."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        body: dict[str, Any],
        why: str = "",
        methods: str = "",
        lazy: str = "",
    ) -> Any:
        made = super().__new__(cls, name, bases, body)
        made.why = why
        made.methods = frozenset(methods.split())
        made.lazy = frozenset(lazy.split())
        return made

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: str) -> None:
        super().__init__(name, bases, body)

    def __getattr__(cls, name: str) -> Any:
        if name in cls.lazy:
            return Lazy(cls, name)
        if name in cls.methods:
            return Refusal(f"{cls.__name__}.{name}", cls.why)
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")

    def __dir__(cls) -> list[str]:
        return sorted({*super().__dir__(), *cls.methods, *cls.lazy})


class StandIn(metaclass=StandInType):
    """A handle of something that does not exist here."""

    def __init__(self, *_: Any, **__: Any) -> None:
        refuse(type(self).__name__, type(self).why)

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        if name in kind.methods:
            return Refusal(f"{kind.__name__}.{name}", kind.why)
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<a {type(self).__name__}, which volfs does not have>"


class Lazy:
    """A constructor that gives a handle without asking whether the object exists."""

    def __init__(self, kind: StandInType, name: str) -> None:
        self._kind = kind
        self.__name__ = f"{kind.__name__}.{name}"

    def __call__(self, *_: Any, **__: Any) -> Any:
        note(self._kind.__name__, f"accepted, and fails when used: {self._kind.why}")
        made: Any = self._kind
        return object.__new__(made)

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        return self(*args, **kwargs)


_NO_SANDBOXES = (
    "volfs has no sandboxes: `volfs run --volume NAME:PATH -- COMMAND` runs a command in a "
    "container, and @app.function a function"
)
_HANDLE = "get_dashboard_url hydrate client object_id "


class Sandbox(
    StandIn,
    why=_NO_SANDBOXES,
    methods=_HANDLE
    + "create create_connect_token detach exec filesystem from_id from_name get_tags list logs "
    "mount_image poll reload_volumes returncode set_tags snapshot_directory snapshot_filesystem "
    "stderr stdin stdout terminate tunnels unmount_image wait wait_until_ready open ls mkdir rm "
    "watch",
):
    """A container that a program makes, and in which it runs commands."""


class SandboxSnapshot(StandIn, why=_NO_SANDBOXES, methods=_HANDLE + "from_id", lazy="from_id"):
    """The state of a Sandbox."""


class Proxy(
    StandIn,
    why="containers have the network of this machine",
    methods=_HANDLE + "from_name",
    lazy="from_name",
):
    """An address from which containers make requests. ``proxy=`` is noted, and ignored."""


class Cluster(
    StandIn,
    why="volfs makes no clusters of containers",
    methods=_HANDLE + "container_ids container_ips container_rank from_context from_id",
):
    """Containers that run one call together."""


class Workspace(
    StandIn,
    why="what Modal's workspace is, here a store is: VOLFS_STORE names it",
    methods=_HANDLE
    + "billing from_context member_tokens members name proxy_tokens service_users settings",
    lazy="from_context",
):
    """The account in which a program works."""


class Server(
    StandIn,
    why="volfs has no servers beside web endpoints: `volfs serve FILE.py` serves these",
    methods=_HANDLE
    + "autoscaler from_id from_name get_url info logs metrics sessions stats update_autoscaler",
    lazy="from_id from_name",
):
    """A class of an app that answers HTTP."""


@dataclass(frozen=True)
class Probe:
    """The check by which Modal knows that a Sandbox is ready."""

    tcp_port: int | None = None
    exec_argv: tuple[str, ...] | None = None
    interval_ms: int = 100

    @classmethod
    def with_tcp(cls, port: int, *, interval_ms: int = 100) -> Probe:
        return cls(port, None, interval_ms)

    @classmethod
    def with_exec(cls, *argv: str, interval_ms: int = 100) -> Probe:
        return cls(None, argv, interval_ms)


@dataclass(frozen=True)
class SchedulerPlacement:
    """The place at which a container would run."""

    region: str | Sequence[str] | None = None
    zone: str | None = None
    spot: bool | None = None
    instance_type: str | Sequence[str] | None = None


class StreamType(enum.IntEnum):
    """The destination of a Sandbox's output."""

    DEVNULL = -3
    PIPE = -1
    STDOUT = -2

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{self.name}"


class ContainerProcess(StandIn, why=_NO_SANDBOXES):
    """A command in a Sandbox."""


class SidecarContainer(StandIn, why=_NO_SANDBOXES):
    """A container beside a Sandbox."""


class SidecarManager(StandIn, why=_NO_SANDBOXES):
    """``Sandbox.sidecars``."""


class StreamReader(StandIn, why=_NO_SANDBOXES):
    """The output of a Sandbox."""


class StreamWriter(StandIn, why=_NO_SANDBOXES):
    """The input of a Sandbox."""


interact: Any = Refusal("interact", "containers have no terminal: call the function with local()")
workspace_billing_report: Any = Refusal("billing.workspace_billing_report", "nothing is billed")


def list_stand_ins() -> Mapping[str, StandInType]:
    return {kind.__name__: kind for kind in StandIn.__subclasses__()}
