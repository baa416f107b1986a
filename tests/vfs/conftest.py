"""Mounts without a kernel, over the store and volume of the test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.rig import Rig, check_books
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store

NewRig = Callable[..., Rig]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of a few names already have pages."""
    monkeypatch.setattr("volfs.model.tree.PAGE_MASK", 3)


@pytest.fixture
def new_rig(store: Store, volume: VolumeRecord, tmp_path: Path) -> Iterator[NewRig]:
    """Mount the volume once more; ``again=RIG`` after that one died, in its session."""
    rigs: list[Rig] = []
    clock = itertools.count(1_000_000_000)

    def new(*, again: Rig | None = None, **options: Any) -> Rig:
        directory = tmp_path / f"session-{len(rigs)}"
        if again is not None:
            again.close()
            directory = again.scratch.directory.parent
            rigs.remove(again)
        rig = Rig(store, volume, directory, lambda: next(clock), **options)
        rigs.append(rig)
        return rig

    yield new
    for rig in rigs:
        check_books(rig)
        rig.close()


@pytest.fixture
def rig(new_rig: NewRig) -> Rig:
    return new_rig()


@pytest.fixture
def other(new_rig: NewRig) -> Rig:
    """A second mount of the volume."""
    return new_rig()
