"""``volfs.FunctionCall``: a call that ``spawn`` or ``spawn_map`` has started, in Modal's shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

from volfs.api.apps.notes import refuse
from volfs.api.apps.targets import attach, get_result, iter_input_ids
from volfs.api.client import Client, find_client
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import blocking, blocking_class, blocking_iterator
from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.pickling import load
from volfs.containers.remote_errors import load_fault
from volfs.errors import FunctionTimeoutError, InvalidError

R = TypeVar("R")


class FunctionCall(HasDashboard, Generic[R]):
    """The work that ``spawn`` or ``spawn_map`` started: one call, or one call for each of several
    inputs."""

    def __init__(self, object_id: str, answers: Sequence[Answer]) -> None:
        self.object_id = object_id
        self._answers = answers

    @blocking_class
    @classmethod
    def from_id(cls, function_call_id: str, client: object = None) -> Self:
        """A call that this program spawned; its containers can find it, too. NotFoundError."""
        ids = iter_input_ids(function_call_id)
        return cls(function_call_id, [attach(one) for one in ids])

    @blocking
    def num_inputs(self) -> int:
        """The number of inputs: one, except for ``spawn_map``."""
        return len(self._answers)

    @blocking
    def get(self, timeout: float | None = None, *, index: int = 0) -> R:
        """The result of the call, or the error that it raised. TimeoutError after ``timeout``
        seconds.

        If there are several inputs, ``index`` chooses one. InvalidError.
        """
        result: R = self._get(self._choose(index), timeout)
        return result

    def _get(self, answer: Answer, timeout: float | None) -> Any:
        try:
            body = get_result(answer, timeout)
        except TimeoutError as error:
            if isinstance(error, FunctionTimeoutError):
                raise
            raise FunctionTimeoutError(
                f"{self.object_id} has no result after {timeout} s"
            ) from None
        return load_result(body)

    def _choose(self, index: int) -> Answer:
        if not 0 <= index < len(self._answers):
            raise InvalidError(
                f"{self.object_id} has no input {index}: it has {len(self._answers)}, from 0 on"
            )
        return self._answers[index]

    @blocking_iterator
    def iter(self, *, start: int = 0, end: int | None = None) -> Iterator[R]:
        """The results of all inputs, or of those from ``start`` to ``end``, in their order.
        ValueError."""
        count = len(self._answers)
        end = count if end is None else end
        if start < 0 or end > count:
            raise ValueError(f"Invalid index range: {start} to {end} for {count} inputs")
        return (self._get(answer, None) for answer in self._answers[start:end])

    @blocking_iterator
    def get_gen(self) -> Iterator[Any]:
        """The items of a generator."""
        return iter_items(self._answers[0])

    @blocking
    def cancel(self, terminate_containers: bool = False) -> None:
        """End the call, and the container that runs it. Those who wait for the call get a
        RemoteError."""
        for answer in self._answers:
            answer.cancel()

    @blocking_class
    @classmethod
    def gather(cls, *function_calls: FunctionCall[Any]) -> list[Any]:
        """The results of all calls, in this order. Raises the error of the first call that
        failed."""
        return [call.get() for call in function_calls]

    @blocking
    def hydrate(self, client: object = None) -> Self:
        return self

    @property
    def client(self) -> Client:
        return find_client()

    @property
    def logs(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("FunctionCall.logs", "what functions print goes to this program's output")

    def get_call_graph(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("FunctionCall.get_call_graph", "volfs does not record who called whom")

    def __repr__(self) -> str:
        return f"volfs.FunctionCall({self.object_id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_call, (self.object_id,)


def _restore_call(object_id: str) -> FunctionCall[Any]:
    call: FunctionCall[Any] = FunctionCall.from_id(object_id)
    return call


def load_result(body: bytes) -> Any:
    return load(body, "the result")


def iter_items(answer: Answer) -> Iterator[Any]:
    try:
        for item in answer.iter_items():
            yield load_result(item)
    except CallFailedError as error:
        fault = load_fault(error.body)
    else:
        return
    raise fault
