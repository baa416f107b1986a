"""Names and number of extended attributes are as on ext4."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.as_on_ext4.users import as_user, attempt
from tests.harness.calls import fails
from tests.harness.mounted import Mounts

pytestmark = pytest.mark.fuse
NAMES = (
    *("user.a", "user.", "user", "user.a.b", "trusted.a", "trusted.", "trusted", "foo", "foo.bar"),
    *("", "system.", "system.a", "system.posix_acl", "security", "User.a", "userx.a"),
    "user." + "n" * 250,
    "user." + "n" * 251,
    "user.\xe9\udcff",
)


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_attributes_are_as_on_ext4(
    each_alone: Path, plain: Path, name: str, uid: int
) -> None:
    def run(place: Path) -> None:
        found = []
        for path in ("f", "d", "link", "fifo"):
            calls: tuple[Callable[[], Any], ...] = (
                lambda p=path: os.getxattr(p, name, follow_symlinks=False),
                lambda p=path: os.setxattr(p, name, b"v", follow_symlinks=False),
                lambda p=path: os.getxattr(p, name, follow_symlinks=False),
                lambda p=path: os.listxattr(p, follow_symlinks=False),
                lambda p=path: os.removexattr(p, name, follow_symlinks=False),
                lambda p=path: os.removexattr(p, name, follow_symlinks=False),
            )
            found += [attempt(call) for call in calls]
        Path("answer").write_text(repr(found))

    for place in (each_alone, plain):
        place.chmod(0o777)
        (place / "f").touch()
        (place / "d").mkdir()
        (place / "link").symlink_to("f")
        os.mkfifo(place / "fifo")
        for path in ("f", "d", "link", "fifo"):
            os.chown(place / path, uid, uid, follow_symlinks=False)
        as_user(uid, [uid], place, partial(run, place))
    assert (each_alone / "answer").read_text() == (plain / "answer").read_text()


def test_trusted_attributes_are_root_s_and_are_committed(mounts: Mounts) -> None:
    mounted = mounts.mount(allow_other=True)
    path = mounted.path / "f"
    path.touch()
    path.chmod(0o666)
    os.setxattr(path, "trusted.a", b"1")
    os.setxattr(path, "user.b", b"2")
    mounted.path.chmod(0o777)

    def look() -> None:
        Path("seen").write_text(str(os.listxattr("f")))

    as_user(1000, [1000], mounted.path, look)
    assert (mounted.path / "seen").read_text() == "['user.b']"
    mounted.commit()
    again = mounts.mount(read_only=True).path / "f"
    assert sorted(os.listxattr(again)) == ["trusted.a", "user.b"]
    assert os.getxattr(again, "trusted.a") == b"1"


def test_no_more_attributes_than_can_be_listed(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    made = []
    with fails(errno.ENOSPC):
        for number in itertools.count():
            os.setxattr(path, f"user.{number}", b"")
            made.append(f"user.{number}")
    assert sorted(os.listxattr(path)) == sorted(made)
