"""Fixtures of the folders that mount: imported by their ``conftest.py``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from tests.harness.store_places import choose_place


@pytest.fixture
def mounts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mounts]:
    """A store with the volume ``data``, and whatever the test mounts of it."""
    found = Mounts(tmp_path, choose_place(request, tmp_path))
    _set_environment(found, monkeypatch)
    found.create()
    try:
        yield found
    finally:
        found.close()


def _set_environment(mounts: Mounts, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("VOLFS_RUNTIME_DIR", str(mounts.runtime))
    for name, value in mounts.bucket.environment.items() if mounts.bucket else ():
        patch.setenv(name, value)


@pytest.fixture
def mounted(mounts: Mounts) -> Mounted:
    """The volume, mounted."""
    return mounts.mount()


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mounted]:
    """One mount for all tests of a file; each works in a directory of its own (``each_alone``)."""
    directory = tmp_path_factory.mktemp("shared")
    mounts = Mounts(directory, choose_place(request, directory))
    with pytest.MonkeyPatch.context() as patch:
        _set_environment(mounts, patch)
        mounts.create()
        try:
            yield mounts.mount(allow_other=True)
        finally:
            mounts.close()


@pytest.fixture
def each_alone(shared: Mounted, request: pytest.FixtureRequest) -> Path:
    """An empty directory of this test's on the shared mount, which others may enter."""
    os.chmod(shared.path, 0o755)
    number = len(os.listdir(shared.path))
    path = shared.path / f"{number}-{request.node.originalname}"
    path.mkdir()
    return path
