"""overlayfs works on a volume as its upper directory."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts

pytestmark = pytest.mark.fuse


@pytest.fixture
def layered(mounts: Mounts, tmp_path: Path) -> Iterator[tuple[Mounted, Path]]:
    """overlayfs whose upper directory is on a mount; the mount, and where it is shown."""
    mounted = mounts.mount(allow_other=True)
    lower, shown = tmp_path / "lower", tmp_path / "shown"
    for path in (mounted.path / "upper", mounted.path / "work", lower / "etc", shown):
        path.mkdir(parents=True)
    (lower / "etc/passwd").write_text("root")
    (lower / "gone").write_text("gone")
    (lower / "d").mkdir()
    (lower / "d/old").write_text("old")
    options = f"lowerdir={lower},upperdir={mounted.path}/upper,workdir={mounted.path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, shown], check=True)
    try:
        yield mounted, shown
    finally:
        subprocess.run(["umount", shown], check=True)


def test_overlayfs_takes_a_volume_as_its_upper_directory(layered: tuple[Mounted, Path]) -> None:
    mounted, shown = layered
    with (shown / "etc/passwd").open("a") as file:
        file.write(" user")
    (shown / "gone").unlink()
    for child in (shown / "d").iterdir():
        child.unlink()
    (shown / "d").rmdir()
    (shown / "d").mkdir()  # opaque: what is below is not seen
    (shown / "new").write_text("new")
    (shown / "new").rename(shown / "newer")
    assert list((shown / "d").iterdir()) == []
    assert not (shown / "gone").exists()
    upper = mounted.path / "upper"
    assert stat.S_ISCHR((upper / "gone").lstat().st_mode)
    assert os.getxattr(upper / "d", "trusted.overlay.opaque") in (b"y", b"x")
    assert (upper / "newer").read_text() == "new"
    assert mounted.commit().changed
