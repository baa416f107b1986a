"""The guard around tasks of a daemon: an error in one does not end the others, nor the mount.

Every task and thread of a daemon does its work within ``surviving``, as every handler of the
kernel's requests does within ``fuse/request_guard.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from volfs.errors import MountError, VolfsError
from volfs.model.text import describe_error

log = logging.getLogger(__name__)


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Log whatever the block raises, and let the caller go on. Cancellation passes through."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a guard catches everything
        log_error(what, error)
    except BaseExceptionGroup as group:
        failed, rest = group.split(Exception)
        if failed is not None:
            log_error(what, failed)
        if rest is not None:
            raise rest from None


def log_error(what: str, error: BaseException) -> None:
    """Log one line for an error of volfs, and the traceback of any other."""
    with suppress(Exception):
        if isinstance(error, VolfsError):
            log.error("%s: %s", what, describe_error(error))
        else:
            log.error("%s", what, exc_info=error)


def to_own(error: Exception) -> VolfsError:
    """The error that a client gets for any error."""
    if isinstance(error, VolfsError):
        return error
    return MountError(f"{type(error).__name__}: {describe_error(error)}")
