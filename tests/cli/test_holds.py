"""Commands that are in their middle while what they read is expired and collected."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.cli.conftest import Command

LONG = os.urandom(3 << 20)
"""More than a pipe holds, and in several chunks."""
PATHS = [f"d{n:02}/{'long' * 20}-{k:02}" for n in range(20) for k in range(50)]


@pytest.fixture
def v(volfs: Command, tmp_path: Path) -> str:
    """Version 1 has a long file, version 2 many names as well, version 4 neither."""
    volfs("create", "v")
    (tmp_path / "long").write_bytes(LONG)
    volfs("put", "v", "long", "/long")
    for path in PATHS:
        (tmp_path / "many" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "many" / path).touch()
    volfs("put", "v", "many", "/many")
    volfs("rm", "v", "/many", "-r")
    volfs("rm", "v", "/long")
    return "v"


@contextmanager
def begun(volfs: Command, *args: str) -> Iterator[BinaryIO]:
    """What a command prints. It is in the middle of that, for more comes than a pipe holds."""
    process = subprocess.Popen(
        [*volfs.argv, *args], stdout=subprocess.PIPE, env=volfs.environment, cwd=volfs.directory
    )
    with process:
        assert process.stdout
        yield process.stdout
    assert process.returncode == 0


def expire(volfs: Command) -> list[str]:
    """Let go what may go, and collect it at once."""
    lines = volfs("expire", "v", "--keep-last", "1").lines
    volfs("gc", "--grace", "0")
    return lines


def test_get_to_a_pipe(volfs: Command, v: str) -> None:
    with begun(volfs, "get", v, "long", "-", "--at", "1") as out:
        read = out.read(100)
        assert expire(volfs) == ["Expired 2 versions, 2 stay."]
        assert read + out.read() == LONG
    assert expire(volfs) == ["Expired 1 version, 1 stay."]
    volfs("check", "--read-data")


def test_diff_to_a_pipe(volfs: Command, v: str) -> None:
    with begun(volfs, "diff", v, "1", "2") as out:
        read = out.read(100)
        assert expire(volfs) == ["Expired 1 version, 3 stay."]
        lines = (read + out.read()).decode().splitlines()
    files = [line.removeprefix("A many/") for line in lines if "long" in line]
    assert files == PATHS
    assert expire(volfs) == ["Expired 2 versions, 1 stay."]


def test_get_of_a_volume_that_is_deleted(volfs: Command, v: str) -> None:
    with begun(volfs, "get", v, "long", "-", "--at", "1") as out:
        read = out.read(100)
        volfs("delete", v, "--yes")
        volfs("gc", "--grace", "0")
        assert read + out.read() == LONG
    assert volfs("gc", "--grace", "0", "--json").json["deleted_packs"] > 0
