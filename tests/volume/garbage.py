"""Volumes that leave something to collect, and what the packs weigh."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.volume.shortcuts import noise, publish_files
from volfs.store.contract.store import Store
from volfs.volume.volumes import create_volume, delete_volume

BIG = 400_000


def pack_files(store: Store) -> dict[str, int]:
    places = (Path(store.url) / "packs").iterdir()
    return {path.name: path.stat().st_size for path in places}


def make_garbage(store: Store, name: str = "garbage") -> None:
    """A volume with a lot in it, deleted."""
    publish_files(store, create_volume(store, name), {"f": noise(3 * BIG, len(name))})
    delete_volume(store, name)


def run_python(code: str, *arguments: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=False).returncode
