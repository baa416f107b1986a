"""Overlays of killed mounts whose store was replaced by an older copy, and where they end."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.harness.mounted import Mounted, Mounts
from volfs.daemon.sessions.export import Exported, export_overlay


def write(path: Path, data: bytes, offset: int = 0) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(descriptor, data, offset)
    os.fsync(descriptor)
    os.close(descriptor)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def export(mounts: Mounts, name: str | Path = "", **options: Any) -> tuple[Exported, Path]:
    output = mounts.directory / f"out{len(list(mounts.directory.glob('out*')))}"
    result = export_overlay(mounts.store, str(name or mounts.sessions[0]), str(output), **options)
    return result, output


def read_changes(output: Path) -> dict[str, dict[str, Any]]:
    return {
        each["path"]: each for each in json.loads((output / "changes.json").read_text())["changes"]
    }


def replace_store(mounts: Mounts, backup: Path) -> Path:
    """The older copy is in the store's place; where the newer one is now."""
    mounts.close_store()
    mounts.expect("its index is older")
    newer = mounts.directory / "newer"
    mounts.store_path.rename(newer)
    shutil.copytree(backup, mounts.store_path)
    return newer


def back_up(mounts: Mounts) -> Path:
    mounts.close_store()
    backup = mounts.directory / "backup"
    shutil.copytree(mounts.store_path, backup)
    return backup


def leave_without_base(mounts: Mounts) -> tuple[Mounted, Path, bytes, bytes]:
    """A killed mount whose overlay stands on a version that the restored store lacks."""
    mounted = mounts.mount()
    old, lost = os.urandom(200_000), os.urandom(200_000)
    write(mounted.path / "old", old)
    mounted.commit()
    backup = back_up(mounts)
    write(mounted.path / "lost", lost)
    mounted.commit()
    write(mounted.path / "old", b"NEW", 70_000)
    write(mounted.path / "lost", b"NEW", 70_000)
    write(mounted.path / "fresh", b"fresh" * 10_000)
    (mounted.path / "d").mkdir()
    write(mounted.path / "d" / "deep", b"deep")
    sync(mounted.path)
    mounted.kill()
    newer = replace_store(mounts, backup)
    (session,) = (newer / "mounts").iterdir()
    return mounted, session, old, lost
