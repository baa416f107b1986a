"""How ``volfs serve`` begins, begins again, and ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.harness.mounted import wait_until
from tests.harness.waits import drop_waits
from tests.serving.conftest import Serving, find_port
from volfs.api.serving.servers import get_port, listen, listen_next
from volfs.api.serving.serving import check_installed
from volfs.exception import InvalidError

Start = Callable[..., Serving]

PROGRAM = """
import volfs as modal
from said import WORD

app = modal.App("small")
volume = modal.Volume.from_name("v", create_if_missing=True)


@app.function(volumes={"/v": volume})
@modal.fastapi_endpoint()
def say():
    open("/v/said", "w").write(WORD)
    return WORD


@app.function()
@modal.fastapi_endpoint()
def wait():
    import threading
    print("waiting", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    (tmp_path / "said.py").write_text("WORD = 'one'\n")
    return path


def says(url: str, word: str) -> bool:
    try:
        return bool(httpx.get(url, timeout=60).json() == word)
    except httpx.TransportError:
        return False


@pytest.mark.fuse
def test_a_change_starts_it_again(start: Start, program: Path) -> None:
    port = find_port()
    serving = start(str(program), "--port", str(port))
    url = serving.wait_for("say", "wait")["say"]
    assert url == f"http://127.0.0.1:{port}"
    assert says(url, "one")
    said = program.with_name("said.py")
    said.write_text("WORD = 'two'\n")
    wait_until(lambda: says(url, "two"), "the changed program", deadline=60)
    said.write_text("WORD = \n")
    wait_until(lambda: "Waiting for a change" in serving.log.read_text(), "the error", deadline=60)
    assert "SyntaxError" in serving.log.read_text()
    said.write_text("WORD = 'three'\n")
    wait_until(lambda: says(url, "three"), "the mended program", deadline=60)
    assert serving.end(signal.SIGTERM) == 0


@pytest.mark.fuse
def test_it_ends_with_open_requests_and_with_who_started_it(start: Start, program: Path) -> None:
    serving = start(str(program), "--port", "0")
    url = serving.wait_for("say", "wait")["wait"]
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: "waiting" in serving.out.read_text(), "the request", deadline=60)
        serving.process.send_signal(signal.SIGKILL)
        serving.process.wait()
        serving.check_nothing_is_left()
    assert "Ending." in serving.log.read_text()


OTHER = """
import threading
import volfs as modal
from fastapi import FastAPI

other = modal.App("other")
LOCK = threading.Lock()
web = FastAPI()


@web.get("/")
def root():
    with LOCK:
        return "other"


@other.function()
@modal.asgi_app()
def theirs():
    return web
"""
MAIN = """
from __future__ import annotations

import volfs as modal

from .other import other

app = modal.App()
app.include(other)


@app.function()
def plain(x):
    return x + 1


def define(word):
    @app.function(name="inner")
    @modal.fastapi_endpoint()
    def within(x: int = 1):
        return [word, plain.remote(x), modal.is_local()]


define("sent by value")
"""


@pytest.mark.fuse
def test_a_package_with_an_app_of_another_module(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name, text in (("__init__", ""), ("other", OTHER), ("main", MAIN)):
        (package / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    serving = start("-m", "package.main", "--no-reload", "--port", "0")
    urls = serving.wait_for("theirs", "inner")
    assert httpx.get(urls["theirs"], timeout=60).json() == "other"
    assert httpx.get(urls["inner"], timeout=60).json() == ["sent by value", 2, False]
    assert serving.out.read_text().count("theirs") == 1
    assert serving.end(signal.SIGHUP) == 0


def test_small_writes_are_sent_at_once() -> None:
    with listen("127.0.0.1", 0, ()) as line:
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with pytest.raises(InvalidError, match="a web_server of the app listens there"):
            listen("127.0.0.1", 1234, {1234})
        taken = get_port(line)
        with listen_next("127.0.0.1", taken, {taken + 1}) as other:
            assert get_port(other) > taken + 1


def run_serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "volfs_cli.main", "serve", "--no-reload", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, program: Path) -> None:
    plain = tmp_path / "plain.py"
    plain.write_text(
        "import volfs as modal\napp = modal.App('p')\n@app.function()\ndef f(): return 1\n"
    )
    marked = "import volfs as modal\napp = modal.App('p')\n@app.function()\n@modal.asgi_app()\n"
    (tmp_path / "given.py").write_text(f"{marked}def f(x): return x\n")
    (tmp_path / "later.py").write_text(f"{marked}async def f(): return 1\n")
    (tmp_path / "many.py").write_text(f"{marked}def f(): yield 1\n")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    for words, said in (
        ((str(tmp_path / "no.py"),), "no such Python file"),
        ((str(plain),), "no function or method in it is an asgi_app"),
        ((f"{program}::nothing",), "no endpoint nothing, but say, wait"),
        ((str(tmp_path / "given.py"),), "f: an asgi_app is called without arguments, and has 'x'"),
        ((str(tmp_path / "later.py"),), "f: an asgi_app cannot be async"),
        ((str(tmp_path / "many.py"),), "f: an endpoint cannot be a generator"),
        ((str(program), "--host", "no.such.host.invalid"), "cannot listen at no.such.host"),
    ):
        done = run_serve(*words)
        assert done.returncode in (1, 2), done.stderr
        (line,) = drop_waits(done.stderr).splitlines()
        assert line.startswith("volfs: serve: ")
        assert said in line
    done = run_serve(str(tmp_path / "bad.py"))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_port_that_is_taken(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as line:
        port = line.getsockname()[1]
        done = run_serve(str(program), "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in done.stderr


@pytest.mark.fuse
def test_others_are_warned_of(start: Start, program: Path) -> None:
    serving = start(f"{program}::say", "--host", "0.0.0.0", "--port", "0", "--timeout", "0.1")
    assert serving.process.wait(60) == 0
    assert "nothing asks for a password" in serving.log.read_text()
    assert list(serving.find_urls()) == ["say"]
    serving.check_nothing_is_left()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InvalidError, match=r"pip install 'volfs\[serve\]'"):
        check_installed("no_such_package")
