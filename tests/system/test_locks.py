"""Locks of open files, and whether a name is still of what is locked."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from volfs.system.locks import holding, is_locked, leads_to, lock_directory, try_lock


def test_one_has_the_lock_or_many_share_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert not is_locked(path)
    with path.open("rb") as first, path.open("rb") as second:
        assert try_lock(first.fileno())
        assert is_locked(path)
        assert not try_lock(second.fileno())
        assert not try_lock(second.fileno(), fcntl.LOCK_SH)
        with holding(path) as held:
            assert not held
        assert try_lock(first.fileno(), fcntl.LOCK_SH)
        assert not is_locked(path)
        assert try_lock(second.fileno(), fcntl.LOCK_SH)
    with holding(path) as held:
        assert held
        assert is_locked(path)
    assert not is_locked(path)


def test_what_is_not_there_is_locked_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with holding(path) as held:
        assert (held, is_locked(path), lock_directory(str(path))) == (False, False, None)
    assert not path.exists()


def test_a_directory_is_locked_by_one(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    (tmp_path / "file").touch()
    assert lock_directory(str(tmp_path / "link")) is None
    assert lock_directory(str(tmp_path / "file")) is None
    first = lock_directory(str(place))
    assert first is not None
    at = os.open(tmp_path, os.O_RDONLY)
    assert lock_directory("place", at) is None
    os.close(first)
    again = lock_directory("place", at)
    assert again is not None
    assert leads_to("place", again, at)
    place.rename(tmp_path / "moved")
    assert not leads_to("place", again, at)
    place.mkdir()
    assert not leads_to("place", again, at)
    (tmp_path / "moved-link").symlink_to("moved")
    assert not leads_to("moved-link", again, at)
    assert leads_to("moved-link", again, at, follow=True)
    os.close(again)
    os.close(at)
