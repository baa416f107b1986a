"""``volfs run FILE.py[::NAME]``: which function it is, and what its options are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import pytest

import volfs as modal
from tests.api.conftest import ROOT
from tests.app import shop
from tests.harness.mounted import is_running
from volfs.api.apps import entrypoint
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
    @modal.method()
    def stamp(self, paper: str = "form"):
        print("stamped", paper)
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "office.py"
    path.write_text(FILE)
    paths = list(sys.path)
    yield path
    sys.path[:] = paths
    sys.modules.pop("office", None)


def call(raw, *args: str) -> dict[str, object]:
    """What a function with these parameters is called with."""
    given: dict[str, object] = {}
    command = entrypoint.make_command(raw, lambda *a, **kw: given.update(kw, rest=a), "run")
    with command.make_context("run", list(args)) as context:
        command.invoke(context)
    given.pop("rest") if not given.get("rest") else None
    return given


def test_parameters_are_options_by_their_annotations() -> None:
    def raw(
        output_dir: str,
        count: int = 1,
        share: float | None = None,
        loud: bool = False,
        when: datetime | None = None,
        free="x",
    ) -> None: ...

    defaults = {"count": 1, "share": None, "loud": False, "when": None, "free": "x"}
    assert call(raw, "--output-dir", "d") == {"output_dir": "d", **defaults}
    words = "--output-dir d --count 3 --share 0.5 --loud --when 2026-01-02 --free y"
    assert call(raw, *words.split()) == {
        "output_dir": "d",
        "count": 3,
        "share": 0.5,
        "loud": True,
        "when": datetime(2026, 1, 2),
        "free": "y",
    }
    assert call(raw, "--output-dir", "d", "--no-loud")["loud"] is False


def test_wrong_arguments() -> None:
    def raw(count: int) -> None: ...

    for words in ([], ["--count", "x"], ["--colour", "red"], ["--count", "1", "more"]):
        with pytest.raises(click.UsageError):
            call(raw, *words)

    def strange(what: list[dict]) -> None: ...

    with pytest.raises(InvalidError, match="parameter what"):
        call(strange)


def test_all_arguments_as_they_are() -> None:
    def raw(*args: str) -> None: ...

    assert call(raw, "a", "--b", "c") == {"rest": ("a", "--b", "c")}


def test_which_one(file: Path) -> None:
    module = entrypoint.import_file(file)
    assert entrypoint.choose(module, "office.py", None)[1].name == "main"
    assert isinstance(entrypoint.choose(module, "office.py", "greet")[1], modal.Function)
    assert entrypoint.choose(module, "office.py", "Clerk.stamp")[0] is module.app
    with pytest.raises(InvalidError, match=r"has no nothing, but Clerk\.stamp, greet, main"):
        entrypoint.choose(module, "office.py", "nothing")
    del module.app.registered_entrypoints["main"]
    with pytest.raises(InvalidError, match="which one"):
        entrypoint.choose(module, "office.py", None)


def test_entrypoint_of_the_shop_is_a_function_here(capfd) -> None:
    assert shop.main.name == "main"
    with pytest.raises(InvalidError, match="Duplicate"):
        shop.app.local_entrypoint(name="main")(shop.double)


@pytest.mark.fuse
def test_the_command(file: Path, place: Path) -> None:
    run = partial(run_in, file.parent)
    assert run("office.py", "--name", "Ada") == ("main Ada False\ncaught nobody\n", 0)
    assert run("office.py::greet", "--name", "Ada", "--times", "2") == ("hello Ada 2\n", 0)
    assert run("office.py::Clerk.stamp") == ("stamped form\n", 0)
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
    for words in (["--env", "A=1", "office.py"], ["--colour", "office.py"], ["--commit", "never"]):
        assert run_in(file.parent, *words)[1] == 2


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
