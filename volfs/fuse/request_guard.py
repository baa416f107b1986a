"""The guard around every handler: it counts, logs if asked, and turns errors into errnos.

A handler that raised anything but ``FUSEError`` would end the mount, so every exception becomes an
errno. With the log level ``debug`` each request is a line of the log. With a limit, each request
that takes as long or longer is one.
"""

from __future__ import annotations

import errno
import functools
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from time import perf_counter_ns
from typing import Any, ParamSpec, TypeVar

import pyfuse3

from volfs.errors import DEBUG, VolfsError
from volfs.fuse.errno_map import to_errno
from volfs.model.activity import Timing
from volfs.model.text import show

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_NOT_OF_FILES = frozenset(("getxattr", "setxattr", "removexattr"))
"""The handlers whose second argument is the name of an attribute."""


_has_lines = False


def log_requests() -> None:
    """Log a line for each request from now on, if the log takes debug lines."""
    global _has_lines
    _has_lines = log.isEnabledFor(DEBUG)


_slow_ns = sys.maxsize


def log_slow_requests(limit_ms: float) -> None:
    """Log a line for each request that takes as long as this, or longer, from now on."""
    global _slow_ns
    _slow_ns = int(limit_ms * 1_000_000)


def guarded(handler: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Wrap a handler of ``Operations``, whose second argument is an inode or a handle.

    The handler's ``timing`` counts its calls and errors, and the time that they took.
    """
    name, timing = handler.__name__, Timing()

    @functools.wraps(handler)
    async def guard(*arguments: P.args, **options: P.kwargs) -> T:
        about = _describe_all(guard, name, arguments) if _has_lines else None
        result = 0
        began = perf_counter_ns()
        try:
            return await handler(*arguments, **options)
        except pyfuse3.FUSEError as error:
            result = error.errno
            raise
        except VolfsError as error:
            if error.level > DEBUG:
                _log(name, error, arguments[0], arguments[1])
            result = to_errno(error)
            raise pyfuse3.FUSEError(result) from None
        except Exception:
            log.exception("%s%r failed", name, arguments[1:3])
            result = errno.EIO
            raise pyfuse3.FUSEError(result) from None
        finally:
            took = perf_counter_ns() - began
            timing.add(took, failed=result != 0)
            if about is not None:
                log.debug("%s %s: %d us, %s", name, about, took // 1000, _show_result(result))
            if took >= _slow_ns:
                _log_slow(guard, name, arguments, took, result)

    guard.timing = timing  # type: ignore[attr-defined]
    return guard


def _show_result(result: int) -> str:
    return errno.errorcode.get(result, str(result)) if result else "ok"


def _log_slow(guard: object, name: str, arguments: Sequence[Any], took: int, result: int) -> None:
    """Log a slow request with what it was about, which may be gone by now."""
    about = _describe_all(guard, name, arguments)
    if about is not None:
        said = _show_result(result)
        log.warning("slow: %s %s: %.3f s, %s", name, about, took / 1_000_000_000, said)


def _log(name: str, error: VolfsError, operations: Any, subject: object) -> None:
    log.log(error.level, "%s %s: %s", name, _describe(name, operations, subject), error)


def _describe(name: str, operations: Any, subject: object) -> str:
    """The subject of a request. It may be gone by now, which must not raise out of the guard."""
    try:
        return str(operations.describe(name, subject))
    except Exception:  # noqa: BLE001 - the request is to be answered all the same
        return repr(subject)


def _describe_all(guard: object, name: str, arguments: Sequence[Any]) -> str | None:
    """The paths that a request is about; None within another request. A caller that asks before
    the request gets them as they were."""
    operations = arguments[0]
    if getattr(type(operations), name, None) is not guard:
        return None
    return " -> ".join(_iter_paths(name, operations, arguments[1:])) or "."


def _iter_paths(name: str, operations: Any, arguments: Sequence[Any]) -> Iterator[str]:
    """Yield the path of each inode or handle, with the name in it that follows."""
    for number, subject in enumerate(arguments[: 4 if name in ("rename", "link") else 1]):
        if not isinstance(subject, int):
            continue
        path = _describe(name, operations, subject)
        after = arguments[number + 1] if number + 1 < len(arguments) else None
        if isinstance(after, bytes) and name not in _NOT_OF_FILES:
            path = show(after) if path in ("", ".") else f"{path}/{show(after)}"
        yield path
