"""What this machine saw acknowledged of a store: told where an index has less, and else never."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.volume.shortcuts import publish_files
from volfs.store.embedded.place.acknowledged import SIZE, Acknowledged, Point
from volfs.store.location import state_directory
from volfs.store.registry import open_store, rebuild_index
from volfs.volume.volumes import create_volume

OLDER = "older than what was acknowledged"
IDENTITY = bytes(16)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a volume."""
    store = open_store(str(tmp_path / "store"), create=True)
    create_volume(store, "data", chunk_bits=16)
    store.close()
    return tmp_path / "store"


def commit(path: Path, name: str = "f") -> None:
    store = open_store(str(path))
    publish_files(store, store.refs.get_volume("data"), {name: b"x"})
    store.close()


def find_missed(path: Path) -> str:
    store = open_store(str(path))
    missed = store.care.find_missed()
    store.close()
    return missed


@pytest.fixture
def restored(path: Path, tmp_path: Path) -> Path:
    """The store, from a backup without its last commit."""
    shutil.copytree(path, tmp_path / "backup")
    commit(path)
    path.rename(tmp_path / "bad")
    shutil.copytree(tmp_path / "backup", path)
    return path


def list_notes(state: Path) -> list[Path]:
    return sorted((state / "acknowledged").iterdir())


@pytest.mark.noisy(OLDER)
def test_an_older_index_is_told_until_it_is_accepted(
    restored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        assert OLDER in find_missed(restored)
        commit(restored, f"more-{number}")  # a commit accepts nothing
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 2  # one of each opening
        caplog.clear()
    store = open_store(str(restored))
    store.care.accept_missed()
    assert not store.care.find_missed()
    store.close()
    assert not find_missed(restored)
    commit(restored, "last")
    assert not find_missed(restored)


def test_what_is_as_new_as_that_is_not_told(path: Path, tmp_path: Path) -> None:
    for number in range(3):
        commit(path, str(number))
        shutil.copytree(path, tmp_path / f"copy-{number}")
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "copy-2", path)
    assert not find_missed(path)


def test_two_copies_at_two_paths_are_two(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    for number in range(3):
        commit(path, str(number))
        assert not find_missed(copy)
    commit(copy)
    assert not find_missed(path)


def test_another_store_at_the_path_is_another(path: Path, tmp_path: Path) -> None:
    for number in range(5):
        commit(path, str(number))
    path.rename(tmp_path / "away")
    open_store(str(path), create=True).close()
    assert not find_missed(path)


def test_an_index_made_anew_is_not_older(path: Path) -> None:
    for number in range(5):
        commit(path, str(number))
    rebuild_index(str(path))
    assert not find_missed(path)
    commit(path)
    assert not find_missed(path)


@pytest.mark.noisy(OLDER)
def test_but_the_one_before_that_is(path: Path, tmp_path: Path) -> None:
    for number in range(5):
        commit(path, str(number))
    shutil.copytree(path, tmp_path / "backup")
    rebuild_index(str(path))
    commit(path)
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "backup", path)
    assert OLDER in find_missed(path)


def test_leases_are_nothing_to_miss(path: Path, tmp_path: Path) -> None:
    commit(path)
    shutil.copytree(path, tmp_path / "backup")
    store = open_store(str(path))
    store.leases.drop("nobody")
    store.close()
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "backup", path)
    assert not find_missed(path)


@pytest.mark.noisy(OLDER)
def test_each_name_of_a_store_has_its_note(path: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(path)
    shutil.copytree(path, tmp_path / "older")
    commit(tmp_path / "here")
    (tmp_path / "here").unlink()
    (tmp_path / "here").symlink_to(tmp_path / "older")
    assert OLDER in find_missed(tmp_path / "here")
    assert not find_missed(path)


@pytest.mark.parametrize("size", [0, 5, SIZE, 2 * SIZE, 5000])
def test_a_damaged_note_says_nothing(restored: Path, state: Path, size: int) -> None:
    for note in list_notes(state):
        note.write_bytes(os.urandom(size))
    assert not find_missed(restored)
    commit(restored)
    assert not find_missed(restored)


@pytest.fixture(params=["file", "directory", "link", "nothing", "of another"])
def bad_state(
    request: pytest.FixtureRequest,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A state directory that is none."""
    shutil.rmtree(state, ignore_errors=True)
    match request.param:
        case "file":
            state.write_bytes(b"")
        case "directory":
            state.mkdir()
            (state / "acknowledged").write_bytes(b"")
        case "link":
            state.symlink_to(tmp_path / "nowhere" / "at all")
        case "nothing":
            monkeypatch.setenv("VOLFS_STATE_DIR", "/proc/nowhere")
        case "of another":
            (state / "acknowledged").mkdir(parents=True)
            os.chown(state / "acknowledged", 1000, 1000)


def test_without_a_state_directory_all_works(path: Path, bad_state: None) -> None:
    commit(path)
    commit(path, "more")
    assert not find_missed(path)


def test_a_note_is_not_written_through_a_link(path: Path, state: Path, tmp_path: Path) -> None:
    commit(path)
    (note,) = list_notes(state)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    note.unlink()
    note.symlink_to(victim)
    commit(path)
    assert victim.read_bytes() == b"precious"


def test_where_notes_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state_directory() == tmp_path / "state"
    monkeypatch.delenv("VOLFS_STATE_DIR")
    assert state_directory() == Path("/var/lib/volfs-state")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    assert state_directory() == Path("/home/me/.local/state/volfs")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert state_directory() == Path("/home/me/state/volfs")


points = st.tuples(st.integers(0, 3), st.integers(1, 20), st.booleans())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(points, max_size=12))
def test_a_note_remembers_what_a_list_would(state: Path, life: list[tuple[int, int, bool]]) -> None:
    """Openings and commits in any order, against the plain rule."""
    shutil.rmtree(state, ignore_errors=True)
    known: tuple[int, int] | None = None
    missed: tuple[int, int] | None = None
    for epoch, transaction, commits in life:
        note = Acknowledged(IDENTITY, epoch, Path("/store"))
        found = note.compare(transaction)
        if known is not None and (epoch, transaction) < known:
            missed = max(missed, known) if missed else known
            known = (epoch, transaction)
        assert (found[:2] if found else None) == missed
        if commits:
            note.note(transaction + 1)
            known = (epoch, transaction + 1)
        note.close()


def test_points_are_in_order() -> None:
    assert Point(0, 9).is_before(Point(1, 1))
    assert Point(1, 1).is_before(Point(1, 2))
    assert not Point(1, 1, 5).is_before(Point(1, 1, 7))
