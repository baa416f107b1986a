"""A store with the volume ``data``, containers of it, and the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import wait_until
from volfs.containers.container import Container, ContainerSpec, VolumeMount
from volfs.control.mounts import list_mount_points
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

Make = Callable[..., Container]


class ContainerStore:
    """A store with the volume ``data``, and containers of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store_path = directory / "store"
        self.containers: list[Container] = []
        self.create("data")

    def create(self, name: str) -> None:
        with self.open() as store:
            create_volume(store, name)

    def open(self) -> _Opened:
        return _Opened(str(self.store_path))

    def container(self, *mounts: VolumeMount, **spec: Any) -> Container:
        container = Container(ContainerSpec(mounts, **spec), str(self.store_path))
        self.containers.append(container)
        return container

    def version(self, name: str = "data") -> int:
        with self.open() as store:
            return store.refs.get_head(store.refs.get_volume(name).id).version

    @property
    def mounts(self) -> list[str]:
        """What is mounted below our directory."""
        return [m.path for m in list_mount_points() if m.path.startswith(f"{self.directory}/")]

    @property
    def sessions(self) -> list[str]:
        path = self.store_path / "mounts"
        return sorted(os.listdir(path)) if path.exists() else []

    def close(self) -> None:
        for container in self.containers:
            container.close()
        wait_until(lambda: not self.mounts, "everything to be unmounted")
        with self.open() as store:
            assert check_store(store).is_clean


class _Opened:
    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Store:
        self.store = open_store(self.url, create=True)
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


@pytest.fixture
def container_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerStore]:
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(tmp_path / "run"))
    found = ContainerStore(tmp_path)
    yield found
    found.close()


@pytest.fixture
def volfs(container_store: ContainerStore) -> Command:
    return Command(container_store.directory)
