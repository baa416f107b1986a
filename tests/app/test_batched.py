"""Calls that are answered together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import volfs as modal
from volfs.exception import InvalidError, RemoteError

LONG = 600_000
"""Milliseconds that no test waits: a batch is there because it is full."""


def test_what_cannot_be_batched() -> None:
    app = modal.App("refused")
    for size, wait in ((0, 1), (1001, 1), (1, -1), (1, LONG + 1), (2.5, 1)):
        with pytest.raises(InvalidError, match="must be a whole number from"):
            modal.batched(max_batch_size=size, wait_ms=wait)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="is for functions"):
        modal.batched(max_batch_size=2, wait_ms=1)(object)
    mark = modal.batched(max_batch_size=2, wait_ms=1)

    def generate(xs: list[int]) -> Iterator[int]:
        yield from xs

    def default(xs: list[int], n: int = 1) -> list[int]:
        return xs

    def rest(*xs: list[int]) -> list[int]:
        return []

    for function, why in ((generate, "generator"), (default, "default for n"), (rest, r"\*xs")):
        with pytest.raises(InvalidError, match=why):
            app.function()(mark(function))
        with pytest.raises(InvalidError, match=why):
            app.cls()(type("Bad", (), {"run": mark(function)}))
    plain = app.function(name="plain")(lambda xs, n=1: xs)
    with pytest.raises(InvalidError, match="default for n"):
        plain.with_batching(max_batch_size=2, wait_ms=1)


def run_with(
    function: Callable[..., Any], size: int, wait_ms: int = LONG, **options: Any
) -> tuple[modal.App, Any]:
    app = modal.App("together")
    mark = modal.batched(max_batch_size=size, wait_ms=wait_ms)
    return app, app.function(**{"max_containers": 1, **options})(mark(function))


def divide(xs: list[int], ys: list[int]) -> list[tuple[float, int]]:
    assert all(isinstance(one, list) for one in (xs, ys))
    return [(x / y, len(xs)) for x, y in zip(xs, ys, strict=True)]


@pytest.mark.fuse
def test_calls_are_answered_together(place: object) -> None:
    app, function = run_with(divide, 4)
    with app.run():
        pairs = [(n, 2) for n in range(8)]
        assert list(function.starmap(pairs)) == [(n / 2, 4) for n in range(8)]
        spawned = [function.spawn(n, ys=1) for n in range(3)]
        assert function.remote(ys=1, xs=3) == (3.0, 4)
        assert modal.FunctionCall.gather(*spawned) == [(n / 1, 4) for n in range(3)]
        assert function.local([6, 8], [2, 4]) == [(3.0, 2), (2.0, 2)]
        # An error of the function is everybody's.
        failed = list(function.starmap([(1, 0), (1, 1)] * 2, return_exceptions=True))
        assert [type(error) for error in failed] == [ZeroDivisionError] * 4
        # Arguments that do not fit are the caller's own.
        bad = [function.spawn(1), function.spawn(1, 2, 3), function.spawn(1, zs=2)]
        assert function.remote(1, 1) == (1.0, 1)
        for call in bad:
            with pytest.raises(InvalidError, match="one value for each parameter"):
                call.get()
        others = function.with_batching(max_batch_size=2, wait_ms=LONG)
        assert list(others.starmap([(1, 1)] * 4)) == [(1.0, 2)] * 4


@pytest.mark.fuse
def test_who_waits_long_enough_goes_alone(place: object) -> None:
    async def count(xs: list[int]) -> list[int]:
        return [len(xs)] * len(xs)

    app, function = run_with(count, 1000, wait_ms=20)
    with app.run():
        assert function.remote(1) == 1
        assert sum(1 / size for size in function.map(range(50))) >= 1
        assert len(list(function.map(range(50)))) == 50


@pytest.mark.fuse
def test_bad_results_are_said_to_each(place: object) -> None:
    def answer(kinds: list[str]) -> Any:
        match kinds[0]:
            case "tuple":
                return tuple(kinds)
            case "short":
                return kinds[1:]
            case "lock":
                return [threading.Lock(), "fine"]
            case "die":
                raise SystemExit(3)
        return kinds

    app, function = run_with(answer, 2)
    with app.run():
        for kind, error in (("tuple", "not a tuple"), ("short", "calls: 2, and not 1")):
            results = list(function.map([kind] * 2, return_exceptions=True))
            assert [error in str(one) for one in results] == [True, True], results
        locked, fine = function.map(["lock"] * 2, return_exceptions=True)
        assert fine == "fine"
        assert "pickle" in str(locked)
        dead = list(function.map(["die"] * 2, return_exceptions=True))
        assert [type(one) for one in dead] == [RemoteError] * 2
        assert list(function.map(["a", "b"])) == ["a", "b"]


@pytest.mark.fuse
def test_methods_and_calls_from_containers(place: object) -> None:
    app = modal.App("methods")

    class Model:
        bias: int = modal.parameter(default=0)

        @modal.enter()
        def load(self) -> None:
            self.batches = 0

        @modal.batched(max_batch_size=3, wait_ms=LONG)
        def predict(self, xs: list[int]) -> list[tuple[int, int]]:
            self.batches += 1
            return [(x + self.bias, self.batches) for x in xs]

        @modal.method()
        def ask(self) -> list[tuple[int, int]]:
            return list(self.predict.map(range(3)))  # type: ignore[attr-defined]

    class Derived(Model):
        pass

    model = app.cls(max_containers=1)(Derived).with_concurrency(max_inputs=2)
    with app.run():
        assert list(model(bias=5).predict.map(range(6))) == [
            *((n + 5, 1) for n in range(3)),
            *((n + 5, 2) for n in range(3, 6)),
        ]
        assert model().ask.remote() == [(0, 1), (1, 1), (2, 1)]
        pairs = model.with_batching(max_batch_size=2, wait_ms=LONG)
        assert [batch for _, batch in pairs().predict.map(range(4))] == [1, 1, 2, 2]


@pytest.mark.fuse
def test_a_batch_is_tried_again_and_goes_on_without_who_gave_up(place: object) -> None:
    seen = modal.Dict.from_name("seen", create_if_missing=True)
    line = modal.Queue.from_name("line", create_if_missing=True)

    def fail_once(xs: list[str]) -> list[int]:
        if seen.put("failed", True, skip_if_exists=True):
            raise ValueError(xs)
        return [len(xs)] * len(xs)

    def meet(xs: list[int]) -> list[int]:
        line.put(len(xs), partition="met")
        line.get(partition="go")
        return xs

    app, function = run_with(fail_once, 2, retries=modal.Retries(max_retries=1, initial_delay=0.0))
    other = app.function(name="meet")(modal.batched(max_batch_size=2, wait_ms=LONG)(meet))
    with app.run():
        assert list(function.map("ab")) == [2, 2]
        calls = [other.spawn(1), other.spawn(2)]
        assert line.get(partition="met") == 2
        calls[0].cancel()
        with pytest.raises(RemoteError, match="cancelled"):
            calls[0].get()
        line.put(True, partition="go")
        assert calls[1].get() == 2
