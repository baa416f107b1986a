"""Values of programs as bytes, and back. Only here, on the side of who owns them, are they read."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from volfs.errors import DeserializationError, SerializationError
from volfs.model.text import describe_error

_PROTOCOL = 4
_PLAIN = {str, int, bytes, float, bool, type(None)}


def dump(value: object, what: str) -> bytes:
    """SerializationError, naming ``what`` it was to be."""
    try:
        if type(value) in _PLAIN:
            # The same bytes as cloudpickle's, in a tenth of the time.
            return pickle.dumps(value, _PROTOCOL)
        import cloudpickle  # type: ignore[import-untyped]

        data: bytes = cloudpickle.dumps(value, _PROTOCOL)
        return data
    except Exception as error:
        raise SerializationError(
            f"Failed to serialize {what}, of type {type(value).__name__}: {describe_error(error)}"
        ) from error


def load(data: bytes, what: str) -> Any:
    """DeserializationError, naming ``what`` it is."""
    try:
        return pickle.loads(data)
    except Exception as error:
        raise DeserializationError(
            f"Failed to deserialize {what}: {describe_error(error)}"
        ) from error


def send_by_value(module_name: str, *, always: bool = False) -> None:
    """Let functions and classes of this module travel whole, if others could not import it."""
    module = sys.modules.get(module_name)
    if module is None or module_name == "__main__":
        return
    if always or not _is_importable(module):
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)


def _is_importable(module: ModuleType) -> bool:
    """Whether a process with the same paths would find it."""
    path: Sequence[str] | None = None
    spec, name = None, ""
    for part in module.__name__.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec is not None and spec.origin == getattr(module, "__file__", None)
