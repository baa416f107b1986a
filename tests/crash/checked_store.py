"""A store that is looked after, and what should be in it when somebody who did so has died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.crash.mount_life import Place, opened
from tests.crash.store_operations import StoreOperation, begin_model, copy_model, look
from volfs.volume.check import check_store


class CheckedStore:
    """A store, and what should be in it."""

    def __init__(self, directory: Path, place: Place = "") -> None:
        self.path = place or directory / "store"
        with opened(self.path, create=True) as store:
            self.model = begin_model(store)

    def judge(self, said: list[tuple[Any, ...]]) -> None:
        """In the parent, after its death."""
        under_way: StoreOperation | None = None
        for what, *facts in said:
            if what == "begin":
                (under_way,) = facts
            elif under_way is not None:
                under_way.expect(self.model)
                under_way = None
        if under_way is not None:
            self.do_again(under_way)
        self.check()

    def do_again(self, operation: StoreOperation) -> None:
        """It was done, or it was not and can be."""
        after = copy_model(self.model)
        operation.expect(after)
        if operation.mends:
            operation.do(self.path)
        with opened(self.path) as store:
            found = look(store)
            assert found in (self.model, after), operation
            assert check_store(store).is_clean
        if found == self.model:
            operation.do(self.path)
        self.model = after

    def check(self) -> None:
        with opened(self.path) as store:
            assert look(store) == self.model
            report = check_store(store)
            assert report.is_clean, report
