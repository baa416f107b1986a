"""``import volfs as modal`` on a store of the test's own, here and in other processes."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.forked import Forked
from volfs.api import client
from volfs.store.registry import open_store
from volfs.volume.check import check_store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the store of this test is; it is made by who needs it."""
    path = tmp_path / "store"
    monkeypatch.setenv("VOLFS_STORE", str(path))
    for name in ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT", "VOLFS_SECRET_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield path
    opened = client._clients.pop(str(path), None)
    if opened is not None:
        opened.close()
    if (path / "index").exists():
        _check(path)


def _check(path: Path) -> None:
    store = open_store(str(path))
    try:
        report = check_store(store)
        assert report.is_clean, report
    finally:
        store.close()


def start(code: str, *args: str) -> subprocess.Popen[str]:
    """A process that runs ``code`` after the usual imports."""
    program = "import os, queue, signal, sys, time\nimport volfs as modal\n" + textwrap.dedent(code)
    return Forked([program, *args], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    """What it printed; it must have ended well."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out
