"""What is said over a connection, and the state of the process that says it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from volfs.containers.connection import Connection
from volfs.containers.pickling import dump, load

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


# --- to a container ---------------------------------------------------------


class Service(Protocol):
    """What a container runs: a function, or an instance of a class."""

    def start(self) -> Iterator[Any]:
        """Before the first call. Iterating does it; what comes may be coroutines to be run."""

    def gives_items(self, method: str) -> bool:
        """Whether its result is to be iterated here."""

    def get_bound(self, method: str) -> Callable[..., Any]:
        """What ``call`` calls, with the parameters that callers give."""

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def stop(self) -> Iterator[Any]:
        """After the last one, likewise."""


@dataclass(frozen=True)
class Start:
    """First, and once."""

    service: bytes
    """The pickle of a ``Service``."""
    import_paths: list[str]
    lanes: int = 1
    """How many calls it may run at once."""


@dataclass(frozen=True)
class Invoke:
    """Run a method. Items are those of a generator."""

    method: str
    arguments: bytes
    call_id: str


@dataclass(frozen=True)
class InvokeBatch:
    """Run a batched method once for many calls. Its result is the outcomes of all of them."""

    method: str
    arguments: list[bytes]
    call_id: str
    """Of the first of them."""


@dataclass(frozen=True)
class HandleRequest:
    """Have a method that is an endpoint answer a request.

    Items are the pickled messages that its application sends; those of the client are
    asked for by ``Receive``. Of a ``web_server``, the one item says that it can be reached.
    """

    method: str
    scope: bytes
    """The pickled scope of the request, as ASGI has it."""
    call_id: str


# --- from a container -------------------------------------------------------


@dataclass(frozen=True)
class TargetReference:
    """A function or class, by what it is known by in the process that runs the app."""

    id: str
    app: str | None
    tag: str
    module: str
    parameters: bytes | None = None
    """The pickled arguments of a class's instance."""
    options: tuple[bytes, ...] = ()
    """The pickled arguments of each ``with_options``."""


@dataclass(frozen=True)
class Submit:
    """Have another container run it."""

    reference: TargetReference
    method: str
    arguments: bytes
    call_id: str
    spawned: bool


@dataclass(frozen=True)
class Attach:
    """The answer to a call that somebody spawned."""

    call_id: str


@dataclass(frozen=True)
class Fetch:
    """The pickle of the service itself, to run it here."""

    reference: TargetReference


@dataclass(frozen=True)
class Find:
    """The pickled handle of what an app has under a name."""

    app: str
    tag: str


@dataclass(frozen=True)
class Receive:
    """The next pickled message of the client whose request this is."""

    call_id: str


@dataclass(frozen=True)
class Locate:
    """The pickled address at which an endpoint is served; None where it is not."""

    reference: TargetReference
    method: str


Message = (
    Start | Invoke | InvokeBatch | HandleRequest | Submit | Attach | Fetch | Find | Receive | Locate
)


def encode(message: Message) -> bytes:
    return pickle.dumps(message)


def decode(body: bytes) -> Message:
    message: Message = pickle.loads(body)
    return message


def dump_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> bytes:
    """SerializationError."""
    return dump((args, kwargs), f"the arguments of {what}")


def load_arguments(body: bytes) -> Arguments:
    """DeserializationError."""
    arguments: Arguments = load(body, "the arguments")
    return arguments


# --- this process -----------------------------------------------------------

GRACE = 30.0
"""Seconds that a program in a container has to end, exit handlers included."""
IN_CONTAINER = "VOLFS_IS_REMOTE"
"""Variable that processes in a function's container have."""

IMAGE = "VOLFS_IMAGE"
"""Variable with the identity of the image that a function's container has."""


@dataclass
class ThisProcess:
    """Where this process stands."""

    runner: Connection | None = None
    """In a worker: the line to the process that runs the app."""

    def forget(self) -> None:
        """After a fork: the line is the parent's, whose thread reads it."""
        self.runner = None


this_process = ThisProcess()
os.register_at_fork(after_in_child=this_process.forget)
current_call: ContextVar[str | None] = ContextVar("volfs_call", default=None)
"""The id of the call that this thread works on; of one of several inputs: ``CALL:NUMBER``."""


def is_local() -> bool:
    """Whether this is not a process in a function's container."""
    return IN_CONTAINER not in os.environ


def current_function_call_id() -> str | None:
    """Of the call that runs here; None outside of one."""
    call_id = current_call.get()
    return None if call_id is None else call_id.partition(":")[0]


def current_input_id() -> str | None:
    """Of this one of a call's inputs; None outside of a call."""
    call_id = current_call.get()
    return None if call_id is None else f"in-{call_id.partition('-')[2]}"
