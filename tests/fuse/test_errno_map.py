"""The one table of error numbers has a line for every class of ``volfs.errors``."""

from __future__ import annotations

import errno

from volfs import errors
from volfs.fuse.errno_map import ERRNO, to_errno


def all_classes(kind: type[errors.VolfsError]) -> set[type[errors.VolfsError]]:
    return {kind}.union(*map(all_classes, kind.__subclasses__()))


def test_every_error_of_ours_has_a_line() -> None:
    ours = {kind for kind in all_classes(errors.VolfsError) if kind.__module__ == "volfs.errors"}
    assert ours == ERRNO.keys()


def test_every_line_is_an_error_number() -> None:
    assert {number for number in ERRNO.values() if number not in errno.errorcode} == set()


def test_a_class_without_a_line_takes_the_nearest_above() -> None:
    class Full(errors.OutOfSpaceError):
        pass

    assert to_errno(Full("disk")) == errno.ENOSPC


def test_a_stale_inode_makes_the_kernel_look_again() -> None:
    assert to_errno(errors.StaleInodeError("old")) == errno.ESTALE


def test_nothing_of_the_store_looks_like_a_missing_file() -> None:
    kinds = all_classes(errors.StoreError) | all_classes(errors.DataError)
    assert errno.ENOENT not in {ERRNO[kind] for kind in kinds & ERRNO.keys()}
