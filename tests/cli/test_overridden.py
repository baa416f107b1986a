"""What a command without a mount replaces of somebody who was a moment quicker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.volume.shortcuts import publish_files
from volfs.model.names import parse_path
from volfs.store.registry import open_store
from volfs.volume.edit import Edit
from volfs.volume.volumes import create_volume
from volfs_cli.files import _commit


def test_it_is_said_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    volume = create_volume(store, "v")
    publish_files(store, volume, {"f": b"old", "g": b"old"})
    with Edit(store, volume) as edit:
        edit.remove(parse_path("f"))
        publish_files(store, volume, {"f": b"theirs", "g": b"theirs"})
        _commit(edit, "rm f")
    store.close()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "overridden: f: others modified it, we removed it; theirs stays in the history"
    ]
