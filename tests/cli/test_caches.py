"""volfs cache: what is there, what it may take, and away with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from volfs.buckets.cache.cache_layout import make_content
from volfs.buckets.cache.disk_cache import DiskCache
from volfs_cli.main import run

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLFS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VOLFS_CACHE_SIZE", "32M")
    return tmp_path / "cache"


def test_status_and_clear(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "status", "--json"]) == 0
    empty = json.loads(capsys.readouterr().out)
    assert empty == {
        "directory": str(place / "buckets"),
        "used": 0,
        "limit": 32 << 20,
        "files": 0,
        "usable": True,
        "problem": None,
    }
    assert not place.exists(), "to look makes nothing"
    assert DiskCache().write(make_content("p", "k", "e", 100_000), 0, bytes(100_000))
    assert run(["cache", "status"]) == 0
    said = capsys.readouterr().out
    assert "Limit:" in said
    assert "32.0 MiB" in said
    assert run(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("deleted 1 file, ")
    assert run(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": 0, "size": 0}


def test_what_is_wrong_with_it_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.mkdir()
    place.chmod(0o777)
    assert run(["cache", "status", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert not facts["usable"]
    assert "chmod go-w" in facts["problem"]
    assert run(["cache", "clear"]) != 0
    assert "VOLFS_CACHE_DIR" in capsys.readouterr().err
    monkeypatch.setenv("VOLFS_CACHE_SIZE", "lots")
    assert run(["cache", "status"]) == 2
    assert "VOLFS_CACHE_SIZE: 'lots' is no size" in capsys.readouterr().err
    place.chmod(0o700)
    (place / "buckets").write_text("a file")
    monkeypatch.setenv("VOLFS_CACHE_SIZE", "0")
    assert run(["cache", "clear"]) != 0
    assert str(place / "buckets") in capsys.readouterr().err
