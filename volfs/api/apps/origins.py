"""Functions and classes that a container finds by importing the program's file.

An application of a web framework refers to many things that cannot be pickled. So an endpoint is
not sent by value, but by its name in its module.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from volfs.containers.messages import Service
from volfs.containers.pickling import dump, send_by_value
from volfs.errors import DeserializationError


@dataclass(frozen=True)
class Origin:
    """A module, and a name in it. ``path`` is the module's file, if the module cannot be imported
    by name."""

    module: str
    path: str | None
    attribute: str


class _Imported:
    """An object whose pickle makes the container load the service by import."""

    def __init__(self, origin: Origin, parameters: bytes | None) -> None:
        self._given = origin, parameters

    def __reduce__(self) -> tuple[Any, ...]:
        return load_service, self._given


def dump_imported(origin: Origin, parameters: bytes | None, what: str) -> bytes:
    return dump(_Imported(origin, parameters), what)


def load_service(origin: Origin, parameters: bytes | None) -> Service:
    """In a container: import the module and make the service. Raises what the module raises, and
    DeserializationError."""
    try:
        target = getattr(_import(origin), origin.attribute)._target
    except AttributeError:
        where = f"{origin.module} has no {origin.attribute} in its container"
        raise DeserializationError(f"{where}: does it depend on modal.is_local()?") from None
    if parameters is not None:
        target = target.get_instance(parameters)
    service: Service = target.make_service()
    return service


def _import(origin: Origin) -> ModuleType:
    if origin.path is None:
        return importlib.import_module(origin.module)
    return import_path(origin.module, origin.path)


def import_path(name: str, path: str) -> ModuleType:
    """Import a Python file as a module. Its functions are pickled whole. ImportError; and what the
    file raises."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    send_by_value(name, always=True)
    spec.loader.exec_module(module)
    return module
