"""Buckets in memory as file systems, without a kernel and with a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bucketfs.rig import BucketRig

NewRig = Callable[..., BucketRig]


@pytest.fixture
def new_rig(tmp_path: Path) -> NewRig:
    return lambda **options: BucketRig(tmp_path, **options)


@pytest.fixture
def rig(new_rig: NewRig) -> BucketRig:
    return new_rig()
