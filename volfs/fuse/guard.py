"""The one way out of a handler: what is raised becomes an errno, whatever it is.

A handler that raised anything but ``FUSEError`` would take the mount down.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pyfuse3

from volfs.errors import DEBUG, VolfsError
from volfs.fuse.errno_map import to_errno

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def guarded(handler: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Wrap a handler of ``Operations``, whose second argument is an inode or a handle."""

    @functools.wraps(handler)
    async def guard(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return await handler(*arguments, **options)
        except pyfuse3.FUSEError:
            raise
        except VolfsError as error:
            if error.level > DEBUG:
                _log(handler.__name__, error, arguments[0], arguments[1])
            raise pyfuse3.FUSEError(to_errno(error)) from None
        except Exception:
            log.exception("%s%r failed", handler.__name__, arguments[1:3])
            raise pyfuse3.FUSEError(errno.EIO) from None

    return guard


def _log(name: str, error: VolfsError, operations: Any, subject: object) -> None:
    log.log(error.level, "%s %s: %s", name, _describe(name, operations, subject), error)


def _describe(name: str, operations: Any, subject: object) -> str:
    """What the request was about; what is gone by now must not raise out of the guard."""
    try:
        return str(operations.describe(name, subject))
    except Exception:  # noqa: BLE001 - the request is to be answered all the same
        return repr(subject)
