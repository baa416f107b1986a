"""Errors of the system, about a store or an overlay, as the errors of volfs."""

from __future__ import annotations

import errno

from volfs.errors import OutOfSpaceError, StoreDeniedError, StoreError, StoreUnavailableError
from volfs.store.anchor import name_places

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def to_store_error(what: str, error: OSError) -> StoreError:
    """The error of volfs for an error of the system. Files are named by their real paths."""
    said = error.strerror or str(error)
    if error.filename is not None and str(error.filename) not in what:
        said += f": {error.filename}"
    return choose_error(error.errno)(name_places(f"{what}: {said}"))


def choose_error(number: int | None) -> type[StoreError]:
    """The class for an error number. A refusal for another reason than room or rights may be
    temporary, so it is a StoreUnavailableError."""
    if number in FULL:
        return OutOfSpaceError
    return StoreDeniedError if number in DENIED else StoreUnavailableError
