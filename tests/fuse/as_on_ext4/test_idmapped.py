"""Idmapped mounts of a mount are as those of ext4."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.fuse.as_on_ext4.users import as_user, attempt
from tests.harness.calls import RENAME_WHITEOUT, renameat2
from tests.harness.idmapped import SHIFT, idmapped

pytestmark = pytest.mark.fuse


def test_idmapped_mounts_are_as_on_ext4(each_alone: Path, plain: Path, tmp_path: Path) -> None:
    """Owners as they are shown, and as they are underneath; who may do what."""
    found = []
    for number, place in enumerate((each_alone, plain)):
        os.chown(place, 1000, 1000)
        place.chmod(0o777)
        (place / "roots").mkdir(mode=0o755)
        (place / "theirs").mkdir(mode=0o2770)
        os.chown(place / "theirs", 2000, 77)
        tmp_path.chmod(0o755)
        shown = tmp_path / f"shown{number}"
        with idmapped(place, shown):
            answers = [
                attempt_as(uid, gids, shown, operation)
                for operation in OPERATIONS
                for uid, gids in MAPPED_CALLERS
            ]
            found.append((answers, list_owners(shown), list_owners(place)))
    for mine, theirs in zip(*found, strict=True):
        assert mine == theirs
    owners = dict(found[0][2])
    assert owners[f"{SHIFT + 1000}-make"][:2] == (1000, 1000)
    assert owners[f"{SHIFT}-make"][:2] == (0, 0)


def list_owners(place: Path) -> list[tuple[str, tuple[int, int, int]]]:
    found = []
    for here, directories, files in sorted(os.walk(place)):
        for name in sorted([*directories, *files]):
            facts = os.lstat(os.path.join(here, name))
            path = os.path.relpath(os.path.join(here, name), place)
            found.append((path, (facts.st_uid, facts.st_gid, facts.st_mode)))
    return found


OPERATIONS: tuple[Callable[[str], object], ...] = (
    lambda who: os.close(os.open(f"{who}-make", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o6775)),
    lambda who: os.mkdir(f"{who}-directory"),
    lambda who: os.symlink("x", f"{who}-link"),
    lambda who: os.mkfifo(f"{who}-fifo"),
    lambda who: os.mkdir(f"theirs/{who}"),
    lambda who: os.mkdir(f"roots/{who}"),
    lambda who: os.link(f"{who}-make", f"{who}-again"),
    lambda who: os.rename(f"{who}-fifo", f"{who}-moved"),
    lambda who: renameat2(Path(f"{who}-moved"), Path(f"{who}-white"), RENAME_WHITEOUT),
    lambda who: os.chmod(f"{who}-make", 0o6755),
    lambda who: os.chown(f"{who}-directory", -1, 77),
    lambda who: os.chown(f"{who}-directory", SHIFT + 5, SHIFT + 5),
    lambda who: os.truncate(f"{who}-make", 3),
    lambda who: os.close(os.open(f"{SHIFT + 1000}-make", os.O_WRONLY | os.O_TRUNC)),
    lambda who: os.setxattr(f"{who}-make", "user.a", b"1"),
    lambda who: os.setxattr(f"{who}-make", "trusted.a", b"1"),
    lambda who: os.listxattr(f"{who}-make"),
    lambda who: os.utime(f"{SHIFT + 1000}-make"),
    lambda who: os.unlink(f"{who}-link"),
    lambda who: os.listdir("theirs"),
)
MAPPED_CALLERS = (
    *((0, [0]), (SHIFT, [SHIFT]), (SHIFT + 1000, [SHIFT + 1000]), (1000, [1000])),
    *((SHIFT + 2000, [SHIFT + 77]), (SHIFT + 3000, [SHIFT + 3000, SHIFT + 77])),
)


def attempt_as(
    uid: int, gids: list[int], place: Path, operation: Callable[[str], object]
) -> tuple[object, ...]:
    """What a operation gives, or its error, in a child that is this user."""
    reader, writer = os.pipe()

    def run() -> None:
        os.write(writer, repr(attempt(partial(operation, str(uid)))).encode())

    as_user(uid, gids, place, run)
    os.close(writer)
    with open(reader) as answer:
        return uid, answer.read()
