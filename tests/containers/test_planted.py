"""The runtime directory is checked before anything in it is touched, and no link is followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from volfs.containers.places import Place, clear_left
from volfs.errors import MountError


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(path))
    return path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's tree of empty directories."""
    (tmp_path / "victim/place/empty").mkdir(parents=True)
    (tmp_path / "victim/empty").mkdir()
    return tmp_path / "victim"


def names_below(path: Path) -> list[str]:
    return sorted(str(below.relative_to(path)) for below in path.rglob("*"))


def test_what_a_dead_container_left_is_removed(runtime: Path) -> None:
    (runtime / "containers/dead/0-v").mkdir(parents=True)
    living = Place()
    living.make_mountpoint("0-v")
    clear_left()
    assert names_below(runtime / "containers") == [living.path.name, f"{living.path.name}/0-v"]
    living.remove()
    assert names_below(runtime / "containers") == []


def test_there_need_be_nothing(runtime: Path) -> None:
    clear_left()
    runtime.rmdir()
    clear_left()


@pytest.mark.parametrize("where", ["containers", "containers/dead", "containers/dead/0-v"])
def test_a_planted_link_leads_nowhere(runtime: Path, victim: Path, where: str) -> None:
    before = names_below(victim)
    link = runtime / where
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.symlink_to(victim)
    if where == "containers":
        with pytest.raises(MountError, match="not a directory"):
            clear_left()
        with pytest.raises(MountError, match="not a directory"):
            Place()
    else:
        clear_left()
    assert names_below(victim) == before
    assert link.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")
@pytest.mark.parametrize("where", ["", "containers"])
@pytest.mark.parametrize("how", ["owner", "mode"])
def test_nothing_is_removed_where_others_write(runtime: Path, where: str, how: str) -> None:
    (runtime / "containers/theirs/empty").mkdir(parents=True)
    if how == "owner":
        os.chown(runtime / where, 12345, 12345)
    else:
        (runtime / where).chmod(0o777)
    with pytest.raises(MountError, match=r"others|another user"):
        clear_left()
    with pytest.raises(MountError, match=r"others|another user"):
        Place()
    assert names_below(runtime / "containers") == ["theirs", "theirs/empty"]
