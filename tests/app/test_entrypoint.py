"""``volfs run FILE.py[::NAME]``: which function it is, and what its options are."""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

import click
import pytest

import volfs as modal
from tests.api.conftest import ROOT
from tests.app import shop
from tests.harness.mounted import is_running
from volfs.api.apps import entrypoint
from volfs.api.apps.choosing import Runnable, choose
from volfs.api.apps.parameters import read_parameters
from volfs.exception import InvalidError

FILE = """
import volfs as modal
app = modal.App()

class Note(Exception):
    pass

@app.function()
def greet(name: str, times: int = 1):
    if name == "nobody":
        raise Note(name)
    print("hello", name, times)

@app.local_entrypoint()
def main(name: str, loud: bool = False):
    print("main", name, loud)
    try:
        greet.remote("nobody")
    except Note as note:
        print("caught", note)

@app.cls()
class Clerk:
    '''Works here.'''

    name: str = modal.parameter(default="Ida")
    desk: int = modal.parameter()
    fast: bool = modal.parameter(default=False)

    @modal.method()
    def stamp(self, paper="form"):
        print("stamped", paper, self.name, self.desk, self.fast)
        return paper
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "office.py"
    path.write_text(FILE)
    paths = list(sys.path)
    yield path
    sys.path[:] = paths
    sys.modules.pop("office", None)


def call(raw, *args: str):
    """What the function gives when it is called with these words."""
    app = modal.App()
    command = entrypoint.make_command(Runnable(app, app.local_entrypoint()(raw)), "run")
    with command.make_context("run", list(args)) as context:
        return command.invoke(context)


class Colour(enum.Enum):
    red = 1
    green = 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ("d", False, 3, 0.5, None, "x", True)),
        ("--dry-run --count 4 --share 1 --what y", ("d", True, 4, 1.0, "y", "x", True)),
        ("--no-loud --no-dry-run --free -1 --count -2", ("d", False, -2, 0.5, None, "-1", False)),
    ],
)
def test_what_has_no_annotation_is_what_its_default_is(words: str, expected: tuple) -> None:
    def raw(output_dir, dry_run=False, count=3, share=0.5, what=None, free="x", loud=True):
        return output_dir, dry_run, count, share, what, free, loud

    assert call(raw, "--output-dir", "d", *words.split()) == expected


@pytest.mark.parametrize(
    ("annotation", "words", "expected"),
    [
        (int | None, "1", 1),
        (Optional[float], "1", 1.0),  # noqa: UP045
        (Optional[bool], None, True),  # noqa: UP045
        ("int | None", "7", 7),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (Optional[Literal["a", None]], "a", "a"),  # noqa: UP045
        (Colour, "green", Colour.green),
        (Colour | None, "red", Colour.red),
        (Path, "a/b", Path("a/b")),
        (Path | None, "a", Path("a")),
        (datetime, "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        (date, "2026-01-02", date(2026, 1, 2)),
        (int | str, "x", "x"),
        (int | str, "3", 3),
        (Annotated[int, "how many"], "3", 3),
        (NewType("Count", int), "3", 3),
        (bytes, "a", b"a"),
        (Any, "a", "a"),
        (object, "a", "a"),
        (list[int], "1 --given 2", [1, 2]),
        (list, "a", ["a"]),
        (Sequence[str], "a", ["a"]),
        (tuple[float, ...], "1 --given 2", (1.0, 2.0)),
        (list[Literal["a"]] | None, "a", ["a"]),
    ],
    ids=str,
)
def test_annotations(annotation: Any, words: str | None, expected: object) -> None:
    def raw(given="its own") -> object:
        return given

    raw.__annotations__["given"] = annotation
    found = call(raw, "--given", *(words.split() if words else ()))
    assert found == expected
    assert type(found) is type(expected)
    assert call(raw) == "its own"


def test_the_help_shows_each_kind_of_parameter() -> None:
    def raw(
        a: Literal["x", "y"],
        b: Literal[1, 2] | None = None,
        c: int | str = 3,
        d: date | None = None,
    ) -> None: ...

    command = click.Command("raw", params=read_parameters(raw).make_options())
    said = " ".join(command.get_help(click.Context(command)).split())
    for option in ("--a [x|y] [required]", "--b [1|2]", "--c", "--d"):
        assert option in said


def test_defaults_reach_the_function_as_they_are() -> None:
    sentinel, when = object(), datetime(2026, 1, 2)

    def raw(a=sentinel, b: int = None, c=when, d=Colour.red, e=Path("p"), f=[1, 2], g={}):  # type: ignore # noqa: RUF013, B006
        return a, b, c, d, e, f, g

    assert call(raw) == (sentinel, None, when, Colour.red, Path("p"), [1, 2], {})
    words = "--c 2026-03-04 --d green --e q --f 3 --f 4 --g text --a text"
    found = call(raw, *words.split())
    assert found == ("text", None, datetime(2026, 3, 4), Colour.green, Path("q"), [3, 4], "text")


def test_all_kinds_of_parameters() -> None:
    def raw(a, b=2, /, c=3, *rest: str, d, e=5, **more: int):
        return a, b, c, rest, d, e, more

    words = ["--a", "1", "--d", "4"]
    assert call(raw, *words) == ("1", 2, 3, (), "4", 5, {})
    assert call(raw, *words, "--c", "9", "x", "y") == ("1", 2, 9, ("x", "y"), "4", 5, {})

    def by_place(a=1, b=2, /):
        return a, b

    assert call(by_place, "--b", "7") == (1, 7)

    def plain(*args: str):
        return args

    assert call(plain, "a", "--b", "c", "-d") == ("a", "--b", "c", "-d")

    def checked(count: Unknown, name: str = "x"):  # type: ignore[name-defined] # noqa: F821
        return count, name

    assert call(checked, "--count", "1") == ("1", "x")


def test_wrong_arguments() -> None:
    def raw(count: int, way: Literal["up", "down"] = "up", colour: Colour = Colour.red) -> None: ...

    wrong = ["", "--count x", "--colour blue --count 1", "--count 1 more", "--way left --count 1"]
    for words in (*wrong, "--unknown 1 --count 1"):
        with pytest.raises(click.UsageError) as caught:
            call(raw, *words.split())
        assert "\n" not in caught.value.format_message().strip()

    def strange(what: list[dict]) -> None: ...

    def pair(what: tuple[int, str]) -> None: ...

    for one in (strange, pair):
        with pytest.raises(click.UsageError, match=r"the parameter what: .* cannot be an option"):
            call(one)


def test_which_one(file: Path) -> None:
    module = entrypoint.import_file(file)

    def find(name: str | None) -> str:
        return choose(module, "office.py", name).raw.__qualname__

    assert [find(name) for name in (None, "main", "app.main", "app")] == ["main"] * 4
    assert [find(name) for name in ("greet", "app.greet")] == ["greet"] * 2
    for name in ("Clerk.stamp", "app.Clerk.stamp", "Clerk", "app.Clerk"):
        assert find(name) == "Clerk.stamp"
    listed = r"has no gret, but Clerk\.stamp, greet, main; did you mean greet\?"
    with pytest.raises(click.UsageError, match=listed):
        find("gret")
    module.other = module.app.local_entrypoint(name="other")(lambda: None)  # type: ignore
    with pytest.raises(click.UsageError, match=r"which one.*NAME one of main, other"):
        find(None)
    del module.app.registered_entrypoints["main"], module.app.registered_entrypoints["other"]
    with pytest.raises(click.UsageError, match=r"which one.*NAME one of Clerk\.stamp, greet"):
        find(None)
    module.second = modal.App()  # type: ignore[attr-defined]
    module.second.function()(module.greet.get_raw_f())
    assert find("second.greet") == "greet"
    assert choose(module, "office.py", "second.greet").app is module.second
    with pytest.raises(click.UsageError, match="no App with functions in it"):
        choose(types.ModuleType("empty"), "empty.py", None)


def test_entrypoint_of_the_shop_is_a_function_here(capfd) -> None:
    assert shop.main.name == "main"
    with pytest.raises(InvalidError, match="Duplicate"):
        shop.app.local_entrypoint(name="main")(shop.double)


@pytest.mark.fuse
def test_the_command(file: Path, place: Path) -> None:
    run = partial(run_in, file.parent)
    assert run("office.py", "--name", "Ada") == ("main Ada False\ncaught nobody\n", 0)
    assert run("office.py::greet", "--name", "Ada", "--times", "2") == ("hello Ada 2\n", 0)
    words = ("--desk", "2", "--fast", "--paper", "bill")
    for name in ("Clerk.stamp", "app.Clerk"):
        assert run(f"office.py::{name}", *words) == ("stamped bill Ida 2 True\n", 0)
    done = run("-q", "-d", "-n", "office", "-e", "test", "-w", "out", "office.py::Clerk", *words)
    assert done == ("stamped bill Ida 2 True\n", 0)
    assert (file.parent / "out").read_text() == "bill"
    said, status = run("-w", "out", "office.py::greet", "--name", "Ada")
    assert (said.splitlines()[0], status) == ("hello Ada 1", 2)
    assert said.splitlines()[1].endswith("got NoneType; see volfs run --help")
    for place, why in ((".", "is a directory"), ("none/out", "no such directory")):
        said, status = run("-w", place, "office.py::greet", "--name", "Ada")
        assert status == 2
        assert f"-w {place}: {why}" in said
        assert "hello" not in said
    said, status = run("office.py::Clerk", "-h")
    assert status == 0
    shown = ("Works here.", "--desk", "--fast / --no-fast", "[default: (Ida)]")
    assert all(word in said for word in shown)
    said, status = run("office.py")
    assert status == 2
    assert "Missing option '--name'" in said
    said, status = run("office.py::greet", "--name", "nobody")
    assert status == 1
    assert "Note: nobody" in said
    assert "in greet" in said
    assert "entrypoint.py" not in said


def run_in(directory: Path, *words: str) -> tuple[str, int]:
    """What ``volfs run`` says, and its status."""
    done = subprocess.run(
        [sys.executable, "-m", "volfs_cli.main", "run", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr, done.returncode


@pytest.mark.fuse
def test_modules_of_packages(tmp_path: Path, place: Path) -> None:
    package = tmp_path / "factory"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text("def double(x): return 2 * x\n")
    (package / "app.py").write_text(
        "import volfs\n"
        "from .parts import double\n"
        "app = volfs.App()\n"
        "@app.function()\n"
        "def count(n: int):\n"
        "    for i in range(n):\n"
        "        print(double(i))\n"
        "        yield i\n"
        "@app.local_entrypoint()\n"
        "async def main():\n"
        "    print([i async for i in count.remote_gen.aio(2)])\n"
    )
    run = partial(run_in, tmp_path)
    assert run("-m", "factory.app") == ("0\n2\n[0, 1]\n", 0)
    assert run("-m", "factory.app::count", "--n", "3") == ("0\n2\n4\n", 0)
    said, status = run("factory/app.py")
    assert status == 1
    assert f"use `volfs run -m factory.app` in {tmp_path}" in said
    assert run("-m", "factory.nothing")[0].endswith("No module named 'factory.nothing'\n")


def test_what_the_program_raises_when_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def go():\n    1 / 0\ngo()\n")
    said, status = run_in(tmp_path, "broken.py")
    assert status == 1
    assert said.startswith("Traceback")
    assert "in go" in said
    assert "entrypoint.py" not in said


def test_what_the_program_raises_is_not_obeyed_by_a_terminal(tmp_path: Path) -> None:
    """It may have the name of a file of somebody else in it."""
    (tmp_path / "broken.py").write_text("raise ValueError('a\\x1b[2J\\udcffb\\nc')\n")
    said, status = run_in(tmp_path, "broken.py")
    assert status == 1
    assert said.splitlines()[-2:] == [r"ValueError: a\x1b[2J\xffb", "c"]


def test_options_for_commands_and_unknown_ones_are_refused(file: Path) -> None:
    for words, why in (
        ("--env A=1 office.py", "--env KEY=VALUE is for commands"),
        ("--volume v:/v office.py", "--volume is for commands"),
        ("--colour office.py", "No such option"),
        ("--commit never", "Missing argument"),
        ("-d -- true", "--detach is for an App"),
        ("-i office.py", "no terminal of its own"),
        ("-w none/out office.py", "no such directory"),
        ("office.py:main", "write office.py::main"),
        ("office.py::nothing", "has no nothing, but"),
        ("office.py::Clerk.stamp", "Missing option '--desk'"),
    ):
        said, status = run_in(file.parent, *words.split())
        assert status == 2, words
        assert why in said
        assert len(said.splitlines()) == 1


@pytest.mark.fuse
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_in_order(number: int, status: int, tmp_path: Path, place: Path) -> None:
    path = tmp_path / "waiting.py"
    path.write_text(
        "import threading, volfs\n"
        "app = volfs.App()\n"
        "@app.cls()\n"
        "class Waiting:\n"
        "    @volfs.method()\n"
        "    def wait(self):\n"
        "        print('waits', flush=True)\n"
        "        threading.Event().wait()\n"
        "    @volfs.exit()\n"
        "    def leave(self):\n"
        "        print('left', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "volfs_cli.main", "run", str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "left\n"
    assert process.returncode == status


@pytest.mark.fuse
def test_a_program_that_just_ends_leaves_nothing_running(tmp_path: Path, place: Path) -> None:
    path = tmp_path / "leaving.py"
    path.write_text(
        "import subprocess, volfs\n"
        "app = volfs.App()\n"
        "@app.function()\n"
        "def begin():\n"
        "    return subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL).pid\n"
        "print(begin.remote())\n"
    )
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert not is_running(int(done.stdout))
