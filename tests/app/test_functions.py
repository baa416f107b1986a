"""Functions in containers: calls, errors, output, limits."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import volfs as modal
from tests.app import shop
from tests.harness.mounted import is_running, wait_until
from volfs.containers.remote_errors import RemoteTraceback
from volfs.exception import (
    DeprecationError,
    FunctionTimeoutError,
    InvalidError,
    NotFoundError,
    RemoteError,
    SerializationError,
)

pytestmark = pytest.mark.fuse


@pytest.fixture(autouse=True)
def running(run) -> modal.App:
    return run(shop.app)


def test_remote_and_local() -> None:
    assert shop.compute.remote(3) == 6
    assert shop.compute.remote(3, plus=1) == 7
    assert shop.compute.local(3) == 6


def test_a_call_is_not_the_functions() -> None:
    with pytest.raises(TypeError, match="runs in containers"):
        shop.compute(3)


def test_map_keeps_the_order() -> None:
    assert list(shop.compute.map(range(20))) == [2 * n for n in range(20)]
    assert list(shop.compute.starmap([(1, 2), (3, 4)])) == [4, 10]
    assert sorted(shop.compute.map(range(5), order_outputs=False)) == [0, 2, 4, 6, 8]
    assert shop.compute.map(range(3), kwargs={"plus": 1}).__next__() == 1


def test_map_raises_or_returns_what_fails() -> None:
    with pytest.raises(TypeError):
        list(shop.compute.map([1, None, 3]))
    one, error, three = shop.compute.map([1, None, 3], return_exceptions=True)
    assert (one, type(error), three) == (2, TypeError, 6)
    with pytest.raises(TypeError):
        shop.compute.for_each([1, None])
    assert shop.compute.for_each([1, None], ignore_exceptions=True) is None


def test_spawn_and_get() -> None:
    call = shop.compute.spawn(21)
    assert call.get(timeout=60) == 42
    assert modal.FunctionCall.from_id(call.object_id).get() == 42
    assert modal.FunctionCall.gather(shop.compute.spawn(1), shop.compute.spawn(2)) == [2, 4]
    with pytest.raises(NotFoundError):
        modal.FunctionCall.from_id("fc-none")


def test_spawned_generators_and_calls_nobody_waits_for(tmp_path: Path) -> None:
    assert list(shop.count_to.spawn(3).get_gen()) == [0, 1, 2]
    paths = [tmp_path / name for name in "abc"]
    shop.touch.spawn_map(map(str, paths))
    wait_until(lambda: all(path.exists() for path in paths), "all of them to have run")


def test_get_has_a_timeout_which_is_pythons_too() -> None:
    call = shop.read.spawn("nothing")
    late = shop.sleep.spawn(0.4)
    with pytest.raises(TimeoutError):
        late.get(timeout=0)
    with pytest.raises(modal.exception.TimeoutError):
        late.get(timeout=0)
    assert late.get() is None
    assert call.get() is None


def test_generators() -> None:
    assert list(shop.count_to.remote_gen(4)) == [0, 1, 2, 3]
    assert list(shop.count_later.remote_gen(3)) == [0, 1, 2]
    with pytest.raises(InvalidError, match="remote_gen"):
        shop.count_to.remote(4)
    with pytest.raises(InvalidError, match="remote"):
        shop.compute.remote_gen(4)
    first = shop.count_to.remote_gen(10**9)
    assert next(first) == 0
    first.close()
    assert list(shop.count_to.remote_gen(2)) == [0, 1]


def test_many_large_items() -> None:
    assert sum(map(len, shop.fill_through_another.remote_gen(40))) == 40 << 20
    assert [len(item) for item in shop.fill.map([20, 20], order_outputs=False)] == [1 << 20] * 40
    call = shop.fill.spawn(40)
    assert call.get() is None
    assert sum(map(len, call.get_gen())) == 40 << 20


def test_only_generator_functions_give_items() -> None:
    assert list(shop.count_in_steps.remote_gen(3)) == [0, 1, 2]
    with pytest.raises(SerializationError, match="'generator' object"):
        shop.give_generator.remote(3)


def test_async_functions_and_twins() -> None:
    async def read_later(number: int) -> AsyncIterator[int]:
        for item in range(number):
            yield item

    async def go() -> tuple[int, list[int], list[int]]:
        gathered = await asyncio.gather(*(shop.compute.remote.aio(n) for n in range(3)))
        mapped = [n async for n in shop.compute.map.aio(read_later(3))]
        return await shop.compute_later.remote.aio(4), gathered, mapped

    assert asyncio.run(go()) == (8, [0, 2, 4], [0, 2, 4])
    assert shop.compute_later.remote(2) == 4


def test_errors_come_back_with_their_traceback() -> None:
    with pytest.raises(shop.ShopError, match="burnt") as caught:
        shop.fail.remote("burnt")
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    first = str(caught.value.__cause__).split("\n")[3]
    assert "shop.py" in first, "the frames of the user come first"


def test_an_exit_and_a_death_are_remote_errors() -> None:
    with pytest.raises(RemoteError, match="SystemExit: 3"):
        shop.fail.remote("exit")
    with pytest.raises(RemoteError, match="container of fail was killed by SIGKILL"):
        shop.fail.remote("die")
    with pytest.raises(shop.ShopError):
        shop.fail.remote("still works")


def test_a_container_that_cannot_begin() -> None:
    app = modal.App("nowhere")
    image = modal.Image.debian_slim().env({"PYTHONHOME": "/nowhere"})
    with app.run(), pytest.raises(RemoteError, match="ended before it was ready, with status 1"):
        app.function(image=image)(shop.double).remote(1)


def test_output_comes_out_here(capfd) -> None:
    shop.speak.remote()
    out, err = capfd.readouterr()
    assert out == "said in a container\nsaid by a child\n"
    assert err == "wailed in a container\n"


def test_containers_call_others() -> None:
    assert shop.call_others.remote(3) == [0, 2, 4, 6, 6]
    call = modal.FunctionCall.from_id(shop.spawn_others.remote(5))
    assert call.get() == 10


def test_containers_find_functions_by_name_and_change_their_options() -> None:
    assert shop.find_and_change.remote(4) == [8, 8, 1, 1]


def test_names_that_this_program_does_not_define() -> None:
    """The first use tells: a file that only names them runs."""
    for find in (modal.Function.from_name, modal.Cls.from_name):
        with pytest.raises(NotFoundError, match="import the file that does"):
            find("elsewhere", "compute").hydrate()
    with pytest.raises(NotFoundError, match="elsewhere"):
        modal.Function.from_name("elsewhere", "compute").remote(1)
    with pytest.raises(NotFoundError, match="elsewhere"):
        modal.Cls.from_name("elsewhere", "Barista")()
    with pytest.raises(NotFoundError, match="is no class, but"):
        modal.Cls.from_name("shop", "compute").hydrate()
    with pytest.raises(InvalidError, match="options are the class's"):
        shop.Barista().make.with_options(timeout=1)


def test_a_function_may_be_named_before_it_is_defined() -> None:
    function = modal.Function.from_name("named-before", "double")
    cls = modal.Cls.from_name("named-before", "Counter")
    assert (function.name, cls.name) == ("double", "Counter")
    app = modal.App("named-before")

    @app.function(serialized=True)
    def double(number: int) -> int:
        return 2 * number

    @app.cls()
    class Counter:
        @modal.method()
        def count(self) -> int:
            return 1

    with app.run():
        assert function.hydrate().remote(2) == double.remote(2) == 4
        assert cls().count.remote() == 1
    for one in (function, cls):
        assert pickle.loads(pickle.dumps(one)).object_id == one.object_id
    assert not function.is_generator
    with pytest.warns(DeprecationError, match="from_name"):
        assert modal.Function.lookup("named-before", "double") is double
    with pytest.warns(DeprecationError, match="from_name"):
        assert modal.Cls.lookup("named-before", "Counter").list_methods() == ["count"]


def test_a_name_is_not_the_one_with_other_options() -> None:
    shop.compute.with_options(timeout=1)
    assert modal.Function.from_name("shop", "compute") is shop.compute


def test_globals_are_those_of_the_containers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    app = modal.App("globals")

    @app.function()
    def count(given: list[int]) -> tuple[int, list[int]]:
        global counted
        counted += 1
        return counted, given

    given = [1]
    with app.run():
        assert count.remote(given) == (1, [1])
        monkeypatch.setattr(sys.modules[__name__], "counted", 100)
        call = count.spawn(given)
        given.append(2)
        assert call.get() == (2, [1])
    with app.run():
        assert count.remote(given) == (101, [1, 2])


counted = 0


def test_a_cancelled_function_may_clean_up() -> None:
    app = modal.App("cleaning")

    @app.function()
    def clean() -> None:
        try:
            shop.say_and_sleep.get_raw_f()("cleaning")
        finally:
            shop.said.put("cleaned")

    with app.run():
        call = clean.spawn()
        assert shop.said.get(timeout=60) == "cleaning"
        call.cancel()
        assert shop.said.get(timeout=60) == "cleaned"


def test_threads_that_hold_up_the_end_are_named(capfd) -> None:
    leave_a_thread = shop.leave_a_thread.with_options(scaledown_window=0.1)
    leave_a_thread.remote()
    seen = ""

    def is_named() -> bool:
        nonlocal seen
        seen += capfd.readouterr().err
        return "lasting" in seen

    wait_until(is_named, "the warning")
    assert "1 thread(s) of the function still run: lasting" in seen
    shop.said.put(None, partition="end")


def test_a_cancelled_call_is_none_that_the_end_has_ended() -> None:
    app = modal.App("cancelling")
    wait = app.function()(shop.say_and_sleep.get_raw_f())
    call = wait.spawn("begun")
    assert shop.said.get(timeout=60) == "begun"
    call.cancel()
    app.close()  # logs nothing


def test_an_app_runs_once_at_a_time() -> None:
    app = modal.App("once")
    double = app.function()(shop.double)
    for _ in range(2):
        with app.run():
            with pytest.raises(InvalidError, match="already running"), app.run():
                pass
            assert double.remote(1) == 2


@pytest.mark.noisy("schedule=")
def test_apps_include_others_and_are_looked_up() -> None:
    kitchen = modal.App("kitchen")
    boil = kitchen.function(schedule=modal.Period(days=1), name="boil")(shop.double)
    house = modal.App("house").include(kitchen)
    assert house.registered_functions == {"boil": boil}
    with modal.enable_output(), house.run():
        assert boil.remote(2) == 4
        assert kitchen._pools
    assert not kitchen._pools, "they end with the app that includes them"
    assert modal.App.lookup("house") is house
    with pytest.raises(NotFoundError, match="import the file that does"):
        modal.App.lookup("elsewhere")
    assert modal.App.lookup("elsewhere", create_if_missing=True).name == "elsewhere"


def test_a_timeout_kills() -> None:
    with pytest.raises(FunctionTimeoutError, match=r"timeout of 0\.5 s"):
        shop.sleep.remote(600)
    assert shop.sleep.remote(0) is None


def test_failures_are_tried_again() -> None:
    assert shop.work_at_last.remote("latte") == 3


def test_a_call_can_be_cancelled() -> None:
    say_and_sleep = shop.say_and_sleep.with_options(max_containers=1)
    runs, waits = say_and_sleep.spawn("runs"), say_and_sleep.spawn("waits")
    assert shop.said.get(timeout=60) == "runs"
    for call in (waits, runs):
        call.cancel()
        with pytest.raises(RemoteError, match="cancelled"):
            call.get()
    assert shop.said.get(block=False) is None


def test_idle_containers_end() -> None:
    brief = shop.where_pid.with_options(scaledown_window=0.1)
    first = brief.remote()
    wait_until(lambda: not is_running(first), "the container's end")
    assert brief.remote() != first


def test_one_container_runs_several_calls() -> None:
    assert list(shop.meet.map("abcd")) == ["a", "b", "c", "d"]


def test_environment_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.show_environment.remote(["A", "B"]) == ["1", "3"]
    monkeypatch.setenv("FROM_HERE", "here")
    secret = modal.Secret.from_local_environ(["FROM_HERE"])
    function = shop.show_environment.with_options(secrets=[secret])
    assert function.remote(["A", "FROM_HERE"]) == ["1", "here"]


def test_who_and_where() -> None:
    assert modal.is_local()
    assert modal.current_function_call_id() is None
    call = shop.where.spawn()
    local, call_id, _ = call.get()
    assert (local, call_id) == (False, call.object_id)


def test_local_warns_of_mounts() -> None:
    with pytest.warns(UserWarning, match="The read function is executing locally"):
        shop.read.local("no-such-file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shop.compute.local(1)


def test_what_cannot_travel() -> None:
    import threading

    with pytest.raises(SerializationError, match="arguments of compute"):
        shop.compute.remote(threading.Lock())


@pytest.mark.noisy("collision", "gpu=")
def test_options_are_checked_and_noted(caplog) -> None:
    app = modal.App("checked")
    with pytest.raises(InvalidError, match="forget parentheses"):
        app.function(shop.double)
    with pytest.raises(TypeError, match="colour"):
        app.function(colour="red")
    with pytest.raises(InvalidError, match="canonical"):
        app.function(volumes={"data": shop.volume})
    with pytest.raises(InvalidError, match="same Volume"):
        app.function(volumes={"/a": shop.volume, "/b": shop.volume})
    app.function(gpu="A100")
    app.function(gpu="A100")
    assert caplog.text.count("gpu=") == 1
    first = app.function()(shop.double)
    second = app.function()(shop.double)
    assert app.registered_functions == {"double": second}
    assert "function name 'double' collision! Overriding existing function" in caplog.text
    assert modal.Function.from_name("checked", "double") is second is not first


def test_a_fork_leaves_the_containers_alone() -> None:
    pid = shop.where_pid.remote()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # we have threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            shop.app.close()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert shop.where_pid.remote() == pid
