from __future__ import annotations

from pathlib import Path

import pytest

from volfs.errors import NotAStoreError
from volfs.store.location import config_file, default_store, state_directory
from volfs.system.user_directories import find_user_directory


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("/x/../data", "/data/volfs"),
        ("/data/", "/data/volfs"),
        ("", "/home/somebody/.local/share/volfs"),
        ("data", "/home/somebody/.local/share/volfs"),  # relative: not to be looked at
        ("~/data", "/home/somebody/.local/share/volfs"),
    ],
)
def test_the_variable_or_below_the_home(
    monkeypatch: pytest.MonkeyPatch, named: str, found: str
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_DATA_HOME", named)
    assert find_user_directory("XDG_DATA_HOME", ".local/share") == Path(found)


def test_who_has_no_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for name in ("DATA", "CONFIG", "STATE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    for name in ("VOLFS_CONFIG_PATH", "VOLFS_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    unknown = 3_999_999_999  # in no table of users
    monkeypatch.setattr("os.getuid", lambda: unknown)
    monkeypatch.setattr("os.geteuid", lambda: unknown)
    with pytest.raises(NotAStoreError, match="name a store"):
        default_store()
    assert config_file() is None
    assert state_directory() is None
