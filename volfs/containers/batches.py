"""In a container: one call of a batched function answers many calls."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

from volfs.containers.answers import Outcome
from volfs.containers.messages import InvokeBatch, Service, load_arguments
from volfs.containers.pickling import dump
from volfs.containers.remote_errors import dump_fault
from volfs.errors import InvalidError

BoundCalls = dict[int, inspect.BoundArguments]


def run_batch(service: Service, batch: InvokeBatch, wait_for: Callable[[Any], Any]) -> bytes:
    """Run a batched function once, and return the pickled outcome of each call, for
    ``load_outcomes``.

    A call whose arguments do not fit, or whose result cannot be sent, fails alone. An error of the
    function is the error of every call. ``wait_for`` gives the result of a coroutine.
    """
    signature = inspect.signature(service.get_bound(batch.method))
    outcomes = [Outcome(b"")] * len(batch.arguments)
    bound: BoundCalls = {}
    for number, arguments in enumerate(batch.arguments):
        try:
            bound[number] = _bind(signature, arguments, batch.method)
        except Exception as error:  # noqa: BLE001 - the error is for that caller
            outcomes[number] = _to_failure(error)
    try:
        results = _call(service, batch.method, signature, bound, wait_for) if bound else []
    except Exception as error:  # noqa: BLE001 - the error is for the callers
        fault = _to_failure(error)
        results = [fault] * len(bound)
    for number, result in zip(bound, results, strict=True):
        outcomes[number] = result
    return pickle.dumps(outcomes)


def load_outcomes(body: bytes) -> list[Outcome]:
    """The outcomes of a batch, one for each call."""
    outcomes: list[Outcome] = pickle.loads(body)
    return outcomes


def _bind(signature: inspect.Signature, body: bytes, method: str) -> inspect.BoundArguments:
    args, kwargs = load_arguments(body)
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        where = method or "the batched function"
        raise InvalidError(
            f"{where}: {error}; each call gives one value for each parameter, and the "
            "function gets lists of them"
        ) from None


def _call(
    service: Service,
    method: str,
    signature: inspect.Signature,
    bound: BoundCalls,
    wait_for: Callable[[Any], Any],
) -> list[Outcome]:
    """Call the function with a list for each parameter, and return the outcome of each call."""
    names = signature.parameters
    lists: dict[str, Any] = {
        name: [one.arguments[name] for one in bound.values()] for name in names
    }
    together = inspect.BoundArguments(signature, lists)
    results = wait_for(service.call(method, together.args, together.kwargs))
    if not isinstance(results, list):
        raise InvalidError(f"a batched function returns a list, and not a {type(results).__name__}")
    if len(results) != len(bound):
        raise InvalidError(
            f"a batched function returns a list of as many results as it got calls: "
            f"{len(bound)}, and not {len(results)}"
        )
    return [_to_outcome(result) for result in results]


def _to_outcome(result: Any) -> Outcome:
    try:
        return Outcome(dump(result, "the result"))
    except Exception as error:  # noqa: BLE001 - the error is for that caller
        return _to_failure(error)


def _to_failure(error: Exception) -> Outcome:
    return Outcome(dump_fault(error), is_failure=True)


def check_batched(raw: Callable[..., Any], name: str, *, is_generator: bool) -> None:
    """Raise InvalidError for a function that cannot be given lists."""
    if is_generator:
        raise InvalidError(f"the batched function {name} cannot be a generator")
    for parameter in inspect.signature(raw).parameters.values():
        if parameter.default is not parameter.empty:
            raise InvalidError(
                f"the batched function {name} cannot have a default for {parameter.name}: "
                "it gets lists"
            )
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidError(
                f"the batched function {name} cannot have the parameter {parameter}: "
                "name each of its lists"
            )
