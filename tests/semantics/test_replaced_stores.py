"""The contract, sentence by sentence: a store is what was opened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.harness.mounted import Mounted, Mounts
from volfs.errors import StoreReplacedError
from volfs.store.registry import open_store

pytestmark = pytest.mark.fuse
NOISE = ("was replaced, moved or unmounted", "overlay was deleted or replaced")


def write_durably(mounted: Mounted, name: str) -> None:
    with (mounted.path / name).open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def test_a_replaced_store_is_not_written_to(mounts: Mounts, mounted: Mounted) -> None:
    """Every change is refused, nothing is written, the overlay stays, and reading goes on."""
    mounts.expect(*NOISE)
    (mounted.path / "kept").write_bytes(b"kept")
    mounted.commit()
    write_durably(mounted, "new")
    mounts.close_store()
    bad = mounts.directory / "bad"
    mounts.store_path.rename(bad)
    shutil.copytree(bad, mounts.store_path)
    with pytest.raises(StoreReplacedError, match=f"the overlay is kept in {bad}"):
        mounted.commit()
    assert (mounted.path / "kept").read_bytes() == b"kept"
    assert mounted.status().store_replaced
    with pytest.raises(StoreReplacedError, match=f"{bad}.*unmounted without a commit"):
        mounted.client.unmount()
    mounted.wait_for_end()
    again = mounts.mount(mounted.path)
    assert (again.path / "new").read_bytes() == b"x"  # of the copy, which was made after fsync
    assert mounts.version == 1


def test_put_back_it_is_committed_to(mounts: Mounts, mounted: Mounted) -> None:
    """As soon as the address leads to the store again."""
    mounts.expect(*NOISE)
    write_durably(mounted, "new")
    mounts.close_store()
    mounts.store_path.rename(mounts.directory / "away")
    with pytest.raises(StoreReplacedError, match="is gone"):
        mounted.commit()
    (mounts.directory / "away").rename(mounts.store_path)
    assert mounted.commit().version == 1


def test_what_has_no_place_on_the_disk_is_not_dropped(mounts: Mounts, mounted: Mounted) -> None:
    """Where the overlay was deleted, umount is refused unless the changes are discarded."""
    mounts.expect(*NOISE, "No such file or directory")
    mounts.close_store()
    shutil.copytree(mounts.store_path, mounts.directory / "backup")
    write_durably(mounted, "new")
    shutil.rmtree(mounts.store_path)
    shutil.copytree(mounts.directory / "backup", mounts.store_path)
    with pytest.raises(StoreReplacedError, match="copy what you need out of"):
        mounted.client.unmount()
    with pytest.raises(OSError, match="Input/output error"):
        write_durably(mounted, "more")
    assert (mounted.path / "new").read_bytes() == b"x"
    mounted.unmount(discard=True)


def test_an_older_index_is_told(mounts: Mounts) -> None:
    """At each opening, until it is accepted."""
    command = [sys.executable, "-m", "volfs_cli.main", "--store", str(mounts.store_path)]
    mounts.close_store()
    shutil.copytree(mounts.store_path, mounts.directory / "backup")
    subprocess.run([*command, "create", "more"], check=True, env=mounts.environment)
    shutil.rmtree(mounts.store_path)
    shutil.copytree(mounts.directory / "backup", mounts.store_path)
    for arguments, is_told in (["list"], True), (["check", "--accept"], True), (["list"], False):
        done = subprocess.run(
            [*command, *arguments], env=mounts.environment, capture_output=True, text=True
        )
        assert ("volfs: warning: " in done.stderr) is is_told, done.stderr
    open_store(str(mounts.store_path)).close()
