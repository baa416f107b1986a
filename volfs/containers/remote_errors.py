"""Errors as bytes: raised in a container, and raised again where the call came from."""

from __future__ import annotations

import pickle
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, TracebackType

from volfs.containers.pickling import dump
from volfs.errors import RemoteError

_OWN = (
    "<frozen",
    f"{Path(__file__).absolute().parents[1]}/",
    f"{sysconfig.get_path('stdlib')}/",
)
"""How the paths of the files begin that are not the user's, unless they are installed packages."""
_INSTALLED = ("site-packages", "dist-packages")


class RemoteTraceback(Exception):  # noqa: N818 - it is shown, not caught
    """The traceback, as text, of an error in the process that raised it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


@dataclass(frozen=True)
class _Fault:
    error: bytes
    """The pickle of the error; empty if there is none."""
    said: str
    trace: str


def dump_fault(error: BaseException) -> bytes:
    """The bytes of an error. ``load_fault`` makes the error from them in another process."""
    said = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(type(error), error, skip_own(error.__traceback__)))
    try:
        pickled = dump(_keep(error), "an error") if isinstance(error, Exception) else b""
    except Exception:  # noqa: BLE001 - the error's class decides how it is pickled
        pickled = b""
    return pickle.dumps(_Fault(pickled, said, trace))


def skip_own(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback from the first frame of the user's program on; all of it if it has
    none."""
    here = trace
    while here is not None and is_own_file(here.tb_frame.f_code.co_filename):
        here = here.tb_next
    return here or trace


def is_own_file(file: str) -> bool:
    """Whether a source file is one of volfs, or of the library of Python."""
    is_installed = any(name in file for name in _INSTALLED) and not file.startswith(_OWN[1])
    return file.startswith(_OWN) and not is_installed


def _keep(error: Exception) -> object:
    """The object to pickle for an error, so that its class need not take its ``args`` as
    parameters."""
    kind = type(error)
    if kind.__reduce__ is BaseException.__reduce__ and isinstance(kind.__init__, FunctionType):
        return _Kept(error)
    return error


class _Kept:
    """An object whose pickle makes the error again without calling its ``__init__``."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (type(self._error), self._error.args, vars(self._error))


def _remake(kind: type[Exception], args: tuple[object, ...], state: dict[str, object]) -> Exception:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def load_fault(body: bytes) -> Exception:
    """The error, with its traceback as text for a cause. RemoteError for an error that cannot be
    made again."""
    fault: _Fault = pickle.loads(body)
    error = _load_error(fault)
    error.__cause__ = RemoteTraceback(fault.trace)
    return error


def _load_error(fault: _Fault) -> Exception:
    try:
        error = pickle.loads(fault.error) if fault.error else None
    except Exception:  # noqa: BLE001 - the error's class may do anything when it is made
        error = None
    return error if isinstance(error, Exception) else RemoteError(fault.said)
