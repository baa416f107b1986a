"""An index that was damaged anywhere and is rebuilt: every version and tag is as it was."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checked_store import CheckedStore
from tests.crash.children import Child, count_rounds, first_seed
from tests.crash.mount_life import opened
from tests.crash.store_operations import FIRST, Collect, Delete, Fork, Publish, Tag, look
from tests.fault.damages import choose_damage
from volfs.volume.check import check_store
from volfs.volume.recovery import rebuild_store

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("greedy_gc")]
INDEX = "index/data.mdb"


@pytest.fixture
def checked() -> Iterator[CheckedStore]:
    """Nothing was removed from it but what gc has taken, which cannot come back."""
    directory = Path(tempfile.mkdtemp(prefix="volfs-rebuilt-", dir="/dev/shm"))
    checked = CheckedStore(directory)
    rng = random.Random(1)
    for operation in (
        Publish(FIRST, {"a": rng.randbytes(5000), "b": rng.randbytes(3000)}),
        Fork(FIRST, 2, "gone"),
        Publish("gone", {"c": rng.randbytes(20_000)}),
        Delete("gone"),
        Collect(0),
        Fork(FIRST, 2, "fork"),
        Publish(FIRST, {"a": rng.randbytes(5000), "d/a": rng.randbytes(20_000)}),
        Tag(FIRST, 2, "two"),
    ):
        operation.do(checked.path)
        operation.expect(checked.model)
    yield checked
    shutil.rmtree(directory)


def damage_and_rebuild(checked: CheckedStore, seed: int) -> None:
    """In a child: LMDB may end a process."""
    path = checked.path.with_name("damaged")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(checked.path, path)
    data = (path / INDEX).read_bytes()
    damage = choose_damage(random.Random(seed), {INDEX: data})
    (path / INDEX).write_bytes(damage.bytes)
    report, _ = rebuild_store(str(path))
    with opened(path) as store:
        found = look(store)
        report_after = check_store(store)
    assert found == checked.model, (damage, report)
    assert report_after.is_clean, (damage, report_after)


def test_an_index_that_was_damaged(checked: CheckedStore) -> None:
    for seed in range(first_seed(), first_seed() + count_rounds(50, 5000)):
        Child(lambda _, seed=seed: damage_and_rebuild(checked, seed)).end()  # type: ignore[misc]
