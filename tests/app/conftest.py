"""Apps whose containers work on a store of this folder's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import volfs as modal
from tests.harness.mounted import wait_until
from volfs.api import client
from volfs.control.mounts import list_mount_points
from volfs.store.registry import open_store
from volfs.volume.check import check_store

Cleanup = Callable[[], None]


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the store ``store``; at the end nothing is mounted, and it is whole."""
    directory = tmp_path_factory.mktemp("app")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLFS_STORE", str(directory / "store"))
        patch.setenv("VOLFS_RUNTIME_DIR", str(directory / "run"))
        patch.setenv("VOLFS_STATE_DIR", str(directory / "state"))
        patch.setenv("VOLFS_CACHE_DIR", str(directory / "cache"))
        for name in ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT", "VOLFS_SECRET_KEY_FILE"):
            patch.delenv(name, raising=False)
        yield directory
        _close(directory)


def _close(directory: Path) -> None:
    opened = client._clients.pop(str(directory / "store"), None)
    if opened is not None:
        opened.close()
    prefix = f"{directory}/"
    wait_until(
        lambda: not [m for m in list_mount_points() if m.path.startswith(prefix)],
        "everything to be unmounted",
    )
    if (directory / "store").exists():
        store = open_store(str(directory / "store"))
        report = check_store(store)
        store.close()
        assert report.is_clean


@pytest.fixture(scope="package")
def run(place: Path) -> Iterator[Callable[[Any], Any]]:
    """Runs apps until the end of this folder."""
    apps: list[modal.App] = []

    def start(app: modal.App) -> modal.App:
        apps.append(app)
        return app

    yield start
    for app in apps:
        app.close()
