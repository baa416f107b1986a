"""The sentences of docs/semantics.md about merges, on two mounts that nobody mounted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.rig import Rig
from tests.vfs.conftest import new_rig, other, rig
from volfs.model.names import Path

__all__ = ["new_rig", "other", "rig"]

D, F = (b"d",), (b"d", b"f")


@pytest.fixture
def both(rig: Rig, other: Rig) -> Callable[[], None]:
    """``d/f`` is committed, and seen by both; the call commits theirs, then ours, and reloads."""
    rig.mkdir(D)
    rig.write(F, b"old")
    rig.commit()
    other.reload()

    def settle() -> None:
        other.commit()
        rig.commit()
        rig.reload()
        other.reload()

    return settle


def names(rig: Rig, path: Path = ()) -> list[bytes]:
    found = rig.list(path)
    rig.forget()
    return found


def test_a_removed_directory(both: Callable[[], None], rig: Rig, other: Rig) -> None:
    """A directory that one side removed: what it saw is removed; what the other made stays."""
    rig.unlink(F)
    rig.rmdir(D)
    other.write((b"d", b"new"), b"theirs")
    both()
    assert names(rig, D) == names(other, D) == [b"new"]


def test_a_directory_of_both(both: Callable[[], None], rig: Rig, other: Rig) -> None:
    """A directory made or changed on both sides: its names are merged one by one."""
    for mount, name in ((rig, b"ours"), (other, b"theirs")):
        mount.mkdir((b"made",))
        for directory in (b"d", b"made"):
            mount.write((directory, name), name)
    both()
    assert names(rig, D) == [b"f", b"ours", b"theirs"]
    assert names(rig, (b"made",)) == [b"ours", b"theirs"]


@pytest.mark.parametrize("we_change_it", [True, False])
def test_attributes_of_a_directory(
    both: Callable[[], None], rig: Rig, other: Rig, we_change_it: bool
) -> None:
    """Its mode, owner and attributes are ours if we changed them; its time is the later one."""
    other.set(D, mode=0o700)
    if we_change_it:
        rig.set(D, mode=0o750)
    rig.write((b"d", b"ours"), b"")
    other.write((b"d", b"theirs"), b"")
    later = max(mount.get(D).entry.mtime_ns for mount in (rig, other))
    both()
    assert rig.get(D).entry.mode == (0o750 if we_change_it else 0o700)
    assert rig.get(D).entry.mtime_ns == later


@pytest.mark.parametrize("ours_is_the_file", [True, False])
def test_a_file_and_a_directory(
    both: Callable[[], None], rig: Rig, other: Rig, ours_is_the_file: bool
) -> None:
    """A file on one side and a directory on the other, at one path: ours."""
    file, directory = (rig, other) if ours_is_the_file else (other, rig)
    file.write((b"x",), b"file")
    directory.mkdir((b"x",))
    both()
    assert rig.get((b"x",)).entry.is_directory != ours_is_the_file


def test_times_alone(both: Callable[[], None], rig: Rig, other: Rig) -> None:
    """Changes of times alone are not conflicts."""
    rig.set(F, mtime_ns=5)
    other.set(F, mtime_ns=6)
    other.commit()
    assert rig.commit(on_conflict="fail").overridden == []


def test_a_renamed_directory(both: Callable[[], None], rig: Rig, other: Rig) -> None:
    """A renamed directory is one that is gone and one that is new."""
    rig.rename(D, (b"moved",))
    other.write((b"d", b"added"), b"theirs")
    both()
    assert names(rig) == [b"d", b"moved"]
    assert names(rig, D) == [b"added"]
    assert names(rig, (b"moved",)) == [b"f"]


def test_hard_links(both: Callable[[], None], rig: Rig, other: Rig) -> None:
    """Several hard links are one file: the last commit wins it under all its names."""
    rig.link(F, (b"link",))
    rig.commit()
    other.reload()
    other.write((b"link",), b"theirs")
    rig.write(F, b"the last")
    both()
    assert other.read(F) == other.read((b"link",)) == b"the last"
