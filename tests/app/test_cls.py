"""Classes whose instances live in containers."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

import volfs as modal
from tests.app import shop
from volfs.exception import InvalidError

pytestmark = pytest.mark.fuse


@pytest.fixture(autouse=True)
def running(run) -> modal.App:
    return run(shop.app)


def test_an_instance_stays_between_calls() -> None:
    ada = shop.Barista()
    assert ada.make.remote("tea") == ("Ada", "tea", 1)
    assert ada.make.remote("mate") == ("Ada", "mate", 2)
    assert shop.Barista().make.remote("tea") == ("Ada", "tea", 3)


def test_parameters_have_containers_of_their_own() -> None:
    assert shop.Barista(name="Eve").make.remote("tea") == ("Eve", "tea", 1)
    assert list(shop.Barista(name="Eve").pour.remote_gen(3)) == [0, 1, 2]
    with pytest.raises(TypeError, match="no parameter 'colour'"):
        shop.Barista(colour="red")
    with pytest.raises(TypeError, match="name is a float"):
        shop.Barista(name=1.5)


def test_methods_call_each_other_and_others_call_them() -> None:
    cleo = shop.Barista(name="Cleo")
    assert cleo.make_two.remote("tea") == [("Cleo", "tea", 1), ("Cleo", "tea", 2)]
    assert shop.order.remote("tea") == ("Bob", "tea", 1)


def test_one_container_runs_calls_at_once() -> None:
    app = modal.App("round")

    class Table:
        @modal.enter()
        def lay(self) -> None:
            self.both = threading.Barrier(2)

        @modal.method()
        def meet(self, name: str) -> str:
            self.both.wait(20)
            return name

    tables = app.cls(max_containers=1)(Table).with_concurrency(max_inputs=2)
    with app.run():
        assert list(tables().meet.map("ab")) == ["a", "b"]


def test_local_is_an_instance_here() -> None:
    dan = shop.Barista(name="Dan")
    with pytest.warns(UserWarning, match="executing locally"):
        assert dan.make.local("tea") == ("Dan", "tea", 1)
    assert dan.made == 1
    with pytest.raises(AttributeError):
        _ = dan.nothing


def test_exit_handlers_run_before_the_last_commit() -> None:
    app = modal.App("exits")

    class Short:
        name: str = modal.parameter(default="Zoe")
        arrive, leave, make = (
            modal.enter()(lambda self: setattr(self, "made", 7)),
            modal.exit()(lambda self: Path("/data", self.name).write_text(str(self.made))),
            modal.method()(lambda self: self.made),
        )

    short = app.cls(volumes={"/data": shop.volume})(Short)
    with app.run():
        assert short().make.remote() == 7
    assert b"".join(shop.volume.read_file("Zoe")) == b"7"


def test_only_containers_run_the_enter_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    app = modal.App("weights")

    class Heavy:
        SIZE = 7
        name: str = modal.parameter()

        @modal.enter()
        def load(self) -> None:
            assert not modal.is_local()

        @modal.method()
        def use(self) -> str:
            return self.describe(self.name)

        @staticmethod
        def describe(name: str) -> str:
            return f"heavy {name}"

    heavy = app.cls()(Heavy)
    # Where the module has it, as after a decorator: pickling looks its functions up there.
    Heavy.__qualname__ = "Heavy"
    for function in (Heavy.load, Heavy.use.raw, Heavy.describe):
        function.__qualname__ = f"Heavy.{function.__name__}"
    monkeypatch.setattr(sys.modules[__name__], "Heavy", heavy, raising=False)
    with app.run():
        assert heavy(name="x").use.remote() == "heavy x"
    assert heavy.SIZE == 7
    assert heavy.describe("y") == "heavy y"
    with pytest.raises(AttributeError, match="missing the parameter 'name'"):
        heavy.use.remote()


def test_with_options_are_other_containers() -> None:
    once = shop.Barista.with_options(single_use_containers=True)
    assert once(name="Uma").make.remote("tea") == ("Uma", "tea", 1)
    assert once(name="Uma").make.remote("tea") == ("Uma", "tea", 1)


def test_what_is_no_class() -> None:
    with pytest.raises(InvalidError, match="is for classes"):
        shop.app.cls()(shop.double)
    with pytest.raises(InvalidError, match="is for functions"):
        shop.app.function()(dict)
