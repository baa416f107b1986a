"""Endpoints of every kind, served from one App."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.harness.mounted import wait_until
from tests.serving.conftest import Serving, find_port

pytestmark = pytest.mark.fuse
SITE = Path(__file__).with_name("site.py")
NAMES = (
    *("site", "old", "make", "former", "server", "Counter.hit", "Counter.die"),
    "Counter.nothing",
)


@pytest.fixture(scope="module")
def serving(place: Path) -> Iterator[Serving]:
    """The App, until Ctrl-C."""
    port = str(find_port())
    serving = Serving(place, str(SITE), "--port", "0", "--no-reload", SITE_PORT=port)
    try:
        serving.wait_for(*NAMES)
        yield serving
    finally:
        status = serving.end()
    assert status == 0, serving.log.read_text()


@pytest.fixture(scope="module")
def urls(serving: Serving) -> dict[str, str]:
    return serving.find_urls()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def test_an_asgi_app(urls: dict[str, str], client: httpx.Client, serving: Serving) -> None:
    site = urls["site"]
    first = client.get(site).json()
    assert first["up"] is True
    assert first["given"] == "by the lifespan"
    item = {"name": "cup", "price": 2.5}
    answer = client.post(f"{site}/items/7", json=item)
    assert answer.json() == {"number": 7, "item": item}
    assert client.post(f"{site}/items/7", json={}).status_code == 422
    assert client.post(f"{site}/size", content=bytes(5 << 20)).json() == {"size": 5 << 20}
    assert client.get(f"{site}/nothing").status_code == 404
    assert client.get(f"{site}/refused").status_code == 418
    assert client.head(f"{site}/").status_code == 405
    with client.stream("GET", f"{site}/stream", params={"count": 40}) as answer:
        assert sum(map(len, answer.iter_bytes())) == 40 << 20
    # Who goes away in the middle is no trouble for the others.
    with client.stream("GET", f"{site}/stream", params={"count": 1000}) as answer:
        next(answer.iter_raw())
    assert client.get(site).json() == first, "all in one container"


def test_a_websocket(urls: dict[str, str]) -> None:
    with connect(urls["site"].replace("http", "ws") + "/echo", open_timeout=60) as socket:
        socket.send("one")
        assert socket.recv(60) == "ONE"
        with connect(urls["site"].replace("http", "ws") + "/echo") as other:
            other.send("two")
            assert other.recv(60) == "TWO"
        socket.send("stop")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000


def test_errors_are_500_and_the_server_lives_on(
    urls: dict[str, str], client: httpx.Client, serving: Serving
) -> None:
    for url in (f"{urls['site']}/broken", urls["Counter.die"], urls["Counter.nothing"]):
        answer = client.get(url)
        assert answer.status_code == 500
        assert "purpose" not in answer.text
        assert "Traceback" not in answer.text
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"{urls['site']}/broken-stream")
    log = serving.log.read_text()
    assert "ValueError: broken on purpose" in log
    assert 'site.py", line' in log
    assert "broken in the middle" in log
    assert "ended in the middle of the call, with status 3" in log
    assert "has to return the application, and returned a NoneType" in log
    assert client.get(urls["site"]).status_code == 200
    assert client.get(urls["Counter.hit"]).json() == {"count": 1}
    assert client.get(urls["Counter.hit"], params={"by": 2}).json() == {"count": 3}


def test_endpoints_of_functions(urls: dict[str, str], client: httpx.Client) -> None:
    answer = client.post(urls["make"], json={"name": "cup"}, headers={"origin": "http://other"})
    assert answer.json() == {
        "item": {"name": "cup", "price": 1.0},
        "count": 2,
        "url": urls["make"],
    }
    assert answer.headers["access-control-allow-origin"] in ("*", "http://other")
    assert client.get(urls["make"]).status_code == 405
    assert "swagger" in client.get(f"{urls['make']}/docs").text
    assert client.get(urls["former"], params={"x": 4}).json() == 5
    assert client.get(f"{urls['former']}/docs").status_code == 404
    assert client.get(urls["former"], params={"x": "four"}).status_code == 422


def run_volfs(serving: Serving, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "volfs_cli.main", *arguments],
        env=serving.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def count_versions(serving: Serving) -> int:
    return len(json.loads(run_volfs(serving, "log", "pages", "--json")))


def test_a_wsgi_app_on_a_volume(
    urls: dict[str, str], client: httpx.Client, serving: Serving
) -> None:
    answer = client.post(f"{urls['old']}/page", content=b"text")
    assert (answer.status_code, answer.text) == (201, "page=text")
    assert answer.headers["x-voice"] == "wsgi"
    assert run_volfs(serving, "get", "pages", "page", "-") == "text"
    client.post(f"{urls['old']}/page", content=b"newer")
    assert run_volfs(serving, "get", "pages", "page", "-") == "newer"
    before = count_versions(serving)
    assert client.get(f"{urls['old']}/page").text == "page="
    assert count_versions(serving) == before


def test_a_web_server_is_started_again(urls: dict[str, str], client: httpx.Client) -> None:
    url = urls["server"]
    wait_until(lambda: reaches(client, url), "the server", deadline=60)
    with pytest.raises(httpx.TransportError):
        client.get(f"{url}/die")
    wait_until(lambda: reaches(client, url), "the server again", deadline=60)
    assert client.get(url).text == "served by itself"


def reaches(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False
