"""A store is its owner's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.calls import run_as
from volfs.errors import StoreDeniedError
from volfs.store.embedded.layout import check_store
from volfs.store.registry import open_store


@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777])
def test_one_that_others_may_write_to_is_not_opened(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    path.chmod(mode)
    for create in (False, True):
        with pytest.raises(StoreDeniedError, match=f"mode {mode:o}.*chmod 700"):
            open_store(str(path), create=create)
    path.chmod(0o755)
    open_store(str(path)).close()


def test_one_of_another_user_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    for part in (path, *path.rglob("*")):
        part.chmod(0o755)
    # Relative, for the directories above are closed to him.
    answer = run_as(1000, path, lambda: check_store(Path()))
    assert "belongs to another user" in answer
