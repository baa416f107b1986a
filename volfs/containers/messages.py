"""The messages on a connection to a container, and the state of the process that sends them."""

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


# --- messages to a container ------------------------------------------------


class Service(Protocol):
    """The code that a container runs: a function, or an instance of a class."""

    def start(self) -> Iterator[Any]:
        """What to do before the first call. Iterating does it. Coroutines among the items are to
        be run."""

    def gives_items(self, method: str) -> bool:
        """Whether the result of a method is to be iterated in the container."""

    def get_bound(self, method: str) -> Callable[..., Any]:
        """The function that ``call`` calls, with the parameters that callers give."""

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def stop(self) -> Iterator[Any]:
        """What to do after the last call. Iterating does it, as with ``start``."""


@dataclass(frozen=True)
class Start:
    """Load the service and start it. This is the first message, and is sent once."""

    service: bytes
    """The pickle of a ``Service``."""
    import_paths: list[str]
    lanes: int = 1
    """The number of calls that the container may run at once."""


@dataclass(frozen=True)
class Invoke:
    """Run a method. If it is a generator, the items of the call are the generator's items."""

    method: str
    arguments: bytes
    call_id: str


@dataclass(frozen=True)
class InvokeBatch:
    """Run a batched method once for many calls. The result holds the outcomes of all of them."""

    method: str
    arguments: list[bytes]
    call_id: str
    """The id of the first of the calls."""


@dataclass(frozen=True)
class HandleRequest:
    """Let a method that is an endpoint answer a request.

    The items of the call are the pickled messages that the application sends. The application gets
    the client's messages by ``Receive``. A ``web_server`` gives one item, which says that the
    server can be reached.
    """

    method: str
    scope: bytes
    """The pickled scope of the request, as ASGI defines it."""
    call_id: str


# --- messages from a container ----------------------------------------------


@dataclass(frozen=True)
class TargetReference:
    """The names by which the process that runs the app knows a function or class."""

    id: str
    app: str | None
    tag: str
    module: str
    parameters: bytes | None = None
    """The pickled arguments of a class's instance."""
    options: tuple[bytes, ...] = ()
    """The pickled arguments of each call of ``with_options``."""


@dataclass(frozen=True)
class Submit:
    """Let another container run a call."""

    reference: TargetReference
    method: str
    arguments: bytes
    call_id: str
    spawned: bool


@dataclass(frozen=True)
class Attach:
    """Get the answer to a call that was spawned."""

    call_id: str


@dataclass(frozen=True)
class Fetch:
    """Get the pickle of a service, to run it in this container."""

    reference: TargetReference


@dataclass(frozen=True)
class Find:
    """Get the pickled handle of the object that an app has under a name."""

    app: str
    tag: str


@dataclass(frozen=True)
class Receive:
    """Get the next pickled message of the client whose request the call answers."""

    call_id: str


@dataclass(frozen=True)
class Locate:
    """Get the pickled address at which an endpoint is served; None if it is not served."""

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
    """The bytes of a call's arguments. SerializationError."""
    return dump((args, kwargs), f"the arguments of {what}")


def load_arguments(body: bytes) -> Arguments:
    """The arguments from their bytes. DeserializationError."""
    arguments: Arguments = load(body, "the arguments")
    return arguments


# --- this process -----------------------------------------------------------

GRACE = 30.0
"""The seconds that a program in a container has for its end, including exit handlers."""
IN_CONTAINER = "VOLFS_IS_REMOTE"
"""The environment variable that processes in a function's container have."""

IMAGE = "VOLFS_IMAGE"
"""The environment variable with the identity of the image of a function's container."""


@dataclass
class ThisProcess:
    """The state that belongs to this process alone."""

    runner: Connection | None = None
    """In a worker: the connection to the process that runs the app."""

    def forget(self) -> None:
        """Forget the connection after a fork, because it is the parent's, whose thread reads
        it."""
        self.runner = None


this_process = ThisProcess()
os.register_at_fork(after_in_child=this_process.forget)
current_call: ContextVar[str | None] = ContextVar("volfs_call", default=None)
"""The id of the call that this thread works on. One of a call's several inputs has
``CALL:NUMBER``."""


def is_local() -> bool:
    """Whether this process is not in a function's container."""
    return IN_CONTAINER not in os.environ


def current_function_call_id() -> str | None:
    """The id of the call that runs here; None outside of a call."""
    call_id = current_call.get()
    return None if call_id is None else call_id.partition(":")[0]


def current_input_id() -> str | None:
    """The id of the input that this call works on; None outside of a call."""
    call_id = current_call.get()
    return None if call_id is None else f"in-{call_id.partition('-')[2]}"
