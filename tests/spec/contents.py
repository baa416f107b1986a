"""What is committed in a volume, and getting something into it."""

from __future__ import annotations

from pathlib import Path

import volfs as modal


def read(volume: modal.Volume, path: str) -> str:
    return b"".join(volume.read_file(path)).decode()


def names(volume: modal.Volume) -> set[str]:
    """The paths of all files."""
    return {entry.path for entry in volume.iterdir("/") if entry.type.name == "FILE"}


def upload(volume: modal.Volume, local: Path, path: str) -> None:
    with volume.batch_upload(force=True) as batch:
        batch.put_file(local, path)
