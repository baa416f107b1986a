"""The targets of calls. In the program of the app, a call goes to the app's own pools; in a
container, it goes to that program.

Functions and classes are known here by id and by name, so that calls from containers find them.
"""

from __future__ import annotations

import importlib
import pickle
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from volfs.api.apps.notes import refuse
from volfs.api.apps.requests import find_address, receive
from volfs.api.apps.spawned import Spawned
from volfs.api.resource import ResourceHandle
from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.connection import Connection, Incoming
from volfs.containers.gathering import Batching
from volfs.containers.messages import (
    Attach,
    Fetch,
    Find,
    Invoke,
    Locate,
    Receive,
    Service,
    Submit,
    TargetReference,
    decode,
    encode,
    this_process,
)
from volfs.containers.pickling import dump, load
from volfs.containers.pool import Pool, PoolOptions
from volfs.containers.remote_errors import dump_fault, load_fault
from volfs.errors import ExecutionError, InvalidError, NotFoundError, VolfsError
from volfs.store.identity import make_id

if TYPE_CHECKING:
    from volfs.containers.worker_container import Running


def make_map_id(count: int) -> str:
    """A new id for a call of several inputs, which contains their number."""
    return f"{make_id('fc')}.{count}"


def iter_input_ids(call_id: str) -> Iterator[str]:
    """The ids of a call's inputs. Most calls have one input, whose id is that of the call."""
    count = call_id.partition(".")[2]
    if count.isdigit():
        yield from (f"{call_id}:{index}" for index in range(int(count)))
    else:
        yield call_id


class Target(ABC):
    """The target of calls: a function, or an instance of a class."""

    reference: TargetReference

    @property
    def has_mounts(self) -> bool:
        """Whether the target's containers have volumes, as far as this process knows."""
        return False

    def list_handles(self) -> list[ResourceHandle]:
        """The handles on the store's resources that the target's containers get, as far as this
        process knows."""
        return []

    def get_batching(self, method: str) -> Batching | None:
        """The limits for batches of a batched function or method; None for any other."""
        return None

    @abstractmethod
    def get_pool(self) -> Pool:
        """The containers of the target. ExecutionError if only its name is known here."""

    def get_server_pool(self, method: str) -> Pool:
        """A pool with one container for a ``web_server``, which lives as long as one call to
        it."""
        raise ExecutionError(f"{self.reference.tag} has no containers of its own")

    @abstractmethod
    def dump_service(self) -> bytes:
        """The pickled service, for a container. SerializationError."""

    @abstractmethod
    def get_local_service(self) -> Service:
        """The service, started, to run calls in this process."""

    @property
    def home(self) -> Any:
        """The App that the target belongs to. ExecutionError if only its name is known here."""
        raise ExecutionError(f"{self.reference.tag}: its App is in the program that defines it")

    @property
    def handle(self) -> Any:
        """The Function or Cls of the target. Only the process that defines it has one."""
        raise InvalidError(f"{self.reference.tag} has no name")

    def get_instance(self, parameters: bytes) -> Target:
        raise ExecutionError(f"{self.reference.tag} is not a class")

    def find_refusal(self, method: str) -> str | None:
        """The reason why calls cannot reach the target, in the process that defines it; else
        None."""
        return None

    def with_options(self, **options: Any) -> Target:
        """A target with these options on top, and with containers of its own. InvalidError."""
        raise InvalidError(f"{self.reference.tag}: options are the class's, not an instance's")


class Home(Protocol):
    """The part of an app that its targets need."""

    name: str | None

    def keep(self, target: Target) -> None:
        """Keep a target as long as the app, so that calls find it by its id."""

    def get_pool(self, key: str, options: PoolOptions, start: Callable[[], Running]) -> Pool:
        """The pool with this ``key``, which is made if there is none."""


class DistantTarget(Target):
    """A target that belongs to the program that runs the app, seen from a container."""

    def __init__(self, reference: TargetReference) -> None:
        self.reference = reference
        self._service: Service | None = None

    def get_pool(self) -> Pool:
        raise ExecutionError(
            f"{self.reference.tag}: this process does not run the app that it belongs to"
        )

    def dump_service(self) -> bytes:
        return _get_runner(self).call(encode(Fetch(self.reference))).wait()

    def get_local_service(self) -> Service:
        if self._service is None:
            service: Service = load(self.dump_service(), self.reference.tag)
            start_service(service)
            self._service = service
        return self._service

    def get_instance(self, parameters: bytes) -> Target:
        return DistantTarget(replace(self.reference, parameters=parameters))

    def with_options(self, **options: Any) -> Target:
        if self.reference.parameters is not None:
            return super().with_options(**options)
        chosen = dump(options, f"the options of {self.reference.tag}")
        return DistantTarget(replace(self.reference, options=(*self.reference.options, chosen)))


def start_service(service: Service) -> None:
    import inspect

    from volfs.containers.loop import Loop

    loop = Loop()
    for step in service.start():
        if inspect.iscoroutine(step):
            loop.run(step)


def _get_runner(target: Target) -> Connection:
    if this_process.runner is None:
        target.get_pool()
        raise AssertionError("a distant target has no pool")
    return this_process.runner


# --- known targets ----------------------------------------------------------

_targets: weakref.WeakValueDictionary[str, Target] = weakref.WeakValueDictionary()
_by_name: weakref.WeakValueDictionary[tuple[str | None, str], Target] = (
    weakref.WeakValueDictionary()
)


_variants: weakref.WeakValueDictionary[tuple[str, bytes], Target] = weakref.WeakValueDictionary()
_varying = threading.Lock()


def register(target: Target, *, by_name: bool = True) -> None:
    """Make a target known. A later target of the same name replaces the earlier one."""
    reference = target.reference
    _targets[reference.id] = target
    if by_name:
        _by_name[reference.app, reference.tag] = target


def register_as(app: str, target: Target) -> None:
    """Make a target known under a name that its app got later."""
    _by_name[app, target.reference.tag] = target


def find_by_id(target_id: str) -> Target | None:
    return _targets.get(target_id)


def find_by_name(app: str | None, tag: str) -> Target | None:
    return _by_name.get((app, tag))


def get_handle(app: str, tag: str) -> Any:
    """The Function or Cls that an app of this program has under a name. NotFoundError."""
    found = find_by_name(app, tag)
    if found is not None:
        return found.handle
    if this_process.runner is not None:
        return load(get_result(this_process.runner.call(encode(Find(app, tag)))), tag)
    raise NotFoundError(
        f"this program defines no '{tag}' of an app '{app}': apps live with the program that "
        "defines them; import the file that does"
    )


def restore_target(reference: TargetReference) -> Target:
    """The target in this process that a pickled handle refers to."""
    found = _targets.get(reference.id)
    if found is None:
        return DistantTarget(reference)
    return _specify(found, reference)


def _specify(target: Target, reference: TargetReference) -> Target:
    for options in reference.options:
        target = _get_variant(target, options)
    return target if reference.parameters is None else target.get_instance(reference.parameters)


def _get_variant(target: Target, options: bytes) -> Target:
    """The variant of a target with these options. All containers that ask for the same options
    share it."""
    key = target.reference.id, options
    with _varying:
        found = _variants.get(key)
        if found is None:
            chosen = load(options, f"the options of {target.reference.tag}")
            found = _variants[key] = target.with_options(**chosen)
    return found


def _get_target(reference: TargetReference) -> Target:
    """The target of a reference, by its id, else by its name. A module that a container imported
    has other ids."""
    found = _targets.get(reference.id) or find_by_name(reference.app, reference.tag)
    if found is None:
        with suppress(ImportError):
            importlib.import_module(reference.module)
        found = find_by_name(reference.app, reference.tag)
    if found is None:
        raise ExecutionError(
            f"{reference.tag}, of {reference.module}, is not known to the program that runs the app"
        )
    return _specify(found, reference)


# --- calls ------------------------------------------------------------------

_spawned = Spawned()


def submit(
    target: Target,
    method: str,
    arguments: bytes,
    call_id: str,
    *,
    spawned: bool = False,
    is_unlimited: bool = True,
) -> Answer:
    """Start a call. With ``spawned``, the call can be found by its id.

    Unless ``is_unlimited``, the call waits for its reader, who must read its items.
    UnimplementedError for a target that is only accepted.
    """
    refusal = target.find_refusal(method)
    if refusal is not None:
        refuse(target.reference.tag, refusal)
    if this_process.runner is not None:
        message = Submit(target.reference, method, arguments, call_id, spawned)
        return this_process.runner.call(encode(message), Answer(is_unlimited=is_unlimited))
    invoke = Invoke(method, arguments, call_id)
    batching = target.get_batching(method)
    answer = target.get_pool().submit(invoke, is_unlimited=is_unlimited, batching=batching)
    if spawned:
        _spawned.add(call_id, answer)
    return answer


def locate(reference: TargetReference, method: str) -> str | None:
    """The address at which an endpoint is served at this moment; None if it is not."""
    if this_process.runner is None:
        return find_address(reference, method)
    answer = this_process.runner.call(encode(Locate(reference, method)))
    url: str | None = pickle.loads(get_result(answer))
    return url


def attach(call_id: str) -> Answer:
    """The answer to a spawned call. NotFoundError; in a container this comes when the answer is
    used."""
    if this_process.runner is not None:
        return this_process.runner.call(encode(Attach(call_id)), Answer(is_unlimited=True))
    found = _spawned.find(call_id)
    if found is None:
        raise NotFoundError(
            f"no call {call_id} was spawned by this program, or its result is no longer kept"
        )
    return found


def get_result(answer: Answer, seconds: float | None = None) -> bytes:
    """Wait for a call's result, or raise the error that the call raised. TimeoutError."""
    try:
        return answer.wait(seconds)
    except CallFailedError as error:
        fault = load_fault(error.body)
    raise fault


def serve(incoming: Incoming) -> None:
    """Answer a container's request in a thread of its own."""
    threading.Thread(target=_serve, args=(incoming,), daemon=True).start()


def _serve(incoming: Incoming) -> None:
    try:
        incoming.done(_answer(incoming))
    except CallFailedError as error:
        incoming.failed(error.body)
    except Exception as error:  # noqa: BLE001 - the error is for the container
        incoming.failed(dump_fault(error))


def _answer(incoming: Incoming) -> bytes:
    match decode(incoming.body):
        case Submit(reference, method, arguments, call_id, spawned):
            target = _get_target(reference)
            answer = submit(
                target, method, arguments, call_id, spawned=spawned, is_unlimited=spawned
            )
        case Attach(call_id):
            answer = attach(call_id)
        case Fetch(reference):
            return _get_target(reference).dump_service()
        case Find(app, tag):
            return dump(get_handle(app, tag), tag)
        case Receive(call_id):
            return receive(call_id)
        case Locate(reference, method):
            return pickle.dumps(find_address(reference, method))
        case other:
            raise VolfsError(f"a container said {other!r}")
    incoming.when_cancelled(answer.cancel)
    for item in answer.iter_items():
        incoming.item(item)
    return answer.wait()
