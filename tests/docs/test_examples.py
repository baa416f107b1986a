"""Every ``console`` block of the documents is run, and prints what the document says.

A line that begins with ``$`` is a command, the lines up to the next one are its
output. Numbers, times and the author are not compared.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.bucket_servers import open_s3_bucket, secret_of
from tests.harness.redis_server import need_redis
from tests.harness.servers import SeaweedServer
from tests.harness.waits import drop_waits

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AUTHOR = re.compile(r"\S+@\S+")
NUMBER = re.compile(r"\d+(\.\d+)?")
UNIT = re.compile(r"# (B|[KMGT]iB)\b")


SERVER, BUCKET = "http://127.0.0.1:8333", "team"
"""What examples call a server of buckets, and its bucket."""


class Step(NamedTuple):
    command: str
    output: str


class Example(NamedTuple):
    name: str
    steps: list[Step]


def find_examples() -> Iterator[Example]:
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        for number, block in enumerate(BLOCK.findall(path.read_text()), 1):
            parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
            steps = [Step(*part.split("\n", 1)) for part in parts]
            yield Example(f"{path.relative_to(ROOT)}:{number}", steps)


def normalise(text: str) -> str:
    return UNIT.sub("# B", NUMBER.sub("#", AUTHOR.sub("@", text))).rstrip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A home of its own; what an example leaves mounted is unmounted."""
    yield tmp_path
    mounts = Path("/proc/self/mounts").read_text().split("\n")
    for line in mounts:
        if f" {tmp_path}" in line:
            subprocess.run(["umount", "-l", line.split(" ")[1]], check=False)


def find_server(example: Example, request: pytest.FixtureRequest) -> SeaweedServer | None:
    """The server of buckets that an example asks, with the bucket that it needs."""
    if not any(SERVER in step.command for step in example.steps):
        return None
    server = request.getfixturevalue("seaweed")
    assert isinstance(server, SeaweedServer)
    with closing(open_s3_bucket(server, BUCKET)) as bucket:
        bucket.door.create_bucket(20.0)  # type: ignore[attr-defined]
    return server


@pytest.mark.fuse
@pytest.mark.parametrize("example", list(find_examples()), ids=lambda example: example.name)
def test_example_does_what_the_document_says(
    example: Example, place: Path, request: pytest.FixtureRequest
) -> None:
    if any("redis-server" in step.command for step in example.steps):
        need_redis()
    server = find_server(example, request)
    home = place / "home"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "VOLFS_STATE_DIR": str(place / "state"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VOLFS_RUNTIME_DIR": str(place / "run"),
        **(secret_of(server) if server else {}),
    }
    script = "".join(f"{step.command}\necho '--end--' $?\n" for step in example.steps)
    done = subprocess.run(
        ["bash"],
        input=script.replace("/tmp/", f"{place}/").replace(
            SERVER, server.endpoint if server else ""
        ),
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = re.split(r"--end-- \d+\n", done.stdout.replace(f"{place}/", "/tmp/"))
    for step, output in zip(example.steps, said, strict=False):
        assert normalise(output) == normalise(step.output), (step.command, done.stderr)
    assert not drop_waits(done.stderr)


def test_the_documents_have_examples() -> None:
    assert shutil.which("bash")
    assert any(example.name.startswith("README.md") for example in find_examples())
