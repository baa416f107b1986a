"""What the system refuses to do for a store or an overlay, by the names that volfs has for it."""

from __future__ import annotations

import errno

from volfs.errors import OutOfSpaceError, StoreDeniedError, StoreError, StoreUnavailableError
from volfs.store.anchor import name_places

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def to_store_error(what: str, error: OSError) -> StoreError:
    """The error to raise from the system's. Files are named by their real paths."""
    said = error.strerror or str(error)
    if error.filename is not None and str(error.filename) not in what:
        said += f": {error.filename}"
    return choose_error(error.errno)(name_places(f"{what}: {said}"))


def choose_error(number: int | None) -> type[StoreError]:
    """For one of the system's numbers. What is neither full nor denied may be there again."""
    if number in FULL:
        return OutOfSpaceError
    return StoreDeniedError if number in DENIED else StoreUnavailableError
