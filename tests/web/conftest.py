"""The real page over a real store, with names and contents that mean harm."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Command, volfs

__all__ = ["Page", "page", "volfs"]
DEADLINE = 60.0
EVIL = b"<img src=x onerror=document.title=1>"
NAMES = (EVIL, b"caf\xe9.txt", b"a\nb", b"\xe2\x80\xaetxt.exe", b"q&a?x=1#y%41.txt", b"'\"> quote")
SCRIPT = b"<script>document.title='hacked'</script>\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="hacked"</script></svg>'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Page:
    """A running `volfs ui`."""

    def __init__(self, volfs: Command, *arguments: str) -> None:
        program = [sys.executable, "-c", "from volfs_cli.main import main; main()"]
        self.volfs = volfs
        self.process = subprocess.Popen(
            [*program, "ui", "--port", "0", *arguments],
            stdout=subprocess.PIPE, env=volfs.environment, cwd=volfs.directory,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], DEADLINE)[0]
        said = self.process.stdout.readline().decode()
        self.url = said.split()[-1]
        self.place = urlsplit(self.url).netloc
        self.token = re.search(r"token=(\S+)", self.url)[1]  # type: ignore[index]
        self.cookie = f"volfs-{self.place.rsplit(':', 1)[1]}={self.token}"

    def ask(
        self, path: str, method: str = "GET", body: str = "", *, cookie: bool = True, **headers: str
    ) -> Answer:
        """One request. Headers are named with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            given["Cookie"] = self.cookie
        if body:
            given["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(self.place, timeout=DEADLINE)
        try:
            connection.request(method, path, body or None, given)
            answer: HTTPResponse = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: str, *, cookie: bool = True) -> Answer:
        """A form of the page itself."""
        return self.ask(path, "POST", body, cookie=cookie, Origin=f"http://{self.place}")

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def fill(volfs: Command) -> None:
    """A volume with three versions, a tag and a fork."""
    source = Path(volfs.directory) / "source"
    source.mkdir()
    for name in NAMES:
        (Path(os.fsdecode(os.path.join(os.fsencode(source), name)))).write_bytes(SCRIPT)
    (source / "evil.svg").write_bytes(SVG)
    (source / "page.html").write_bytes(SCRIPT)
    (source / "fake.png").write_bytes(SCRIPT)
    png = Path(__file__).parents[2] / "volfs/web/static/icon.png"
    (source / "real.png").write_bytes(png.read_bytes())
    (source / "people.csv").write_bytes(b'id,name\n1,"Ann, B"\n2,<b>Bob</b>\n')
    (source / "noise.bin").write_bytes(bytes(range(256)))
    (source / "notes.txt").write_text("one\ntwo\nthree\n")
    volfs("create", "data")
    volfs("put", "data", f"{source}/", "/")
    (source / "notes.txt").write_text("one\n2 <i>\nthree\n")
    volfs("put", "--force", "data", source / "notes.txt", "/notes.txt")
    volfs("tag", "data", "release-1")
    volfs("fork", "data", "data-try")
    volfs("rm", "data", "/noise.bin")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One for all tests of a module: only one of them changes anything."""
    command = Command(tmp_path_factory.mktemp("page"))
    fill(command)
    found = Page(command)
    try:
        yield found
    finally:
        found.close()
