"""Modules that only containers have: ``with image.imports(): import torch``."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

_MACHINERY = {"importlib._bootstrap", "importlib._bootstrap_external", __name__}


class Absent(ModuleType):
    """A stand-in for a module that this process lacks, or for a name in one. In a container it
    becomes the real thing."""

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise ImportError(f"{self.__name__} is not installed here, but in the image: use it there")

    __mro_entries__ = __call__

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (self.__name__,)


def load(name: str) -> Any:
    """The object that a name refers to in this process. ImportError."""
    outer, _, last = name.rpartition(".")
    if not outer:
        return importlib.import_module(name)
    try:
        return getattr(load(outer), last)
    except AttributeError:
        return importlib.import_module(name)


class Imports(MetaPathFinder, Loader):
    """A block in which the program's own imports of missing modules give ``Absent`` ones.

    The modules that it imports get ImportError as usual, because they may test which modules
    exist.
    """

    def __enter__(self) -> None:
        self._globals = sys._getframe(1).f_globals
        sys.meta_path.append(self)

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> bool:
        """End the block on an error. The program goes on, unless the error is no Exception."""
        sys.meta_path.remove(self)
        for name in [name for name, module in sys.modules.items() if isinstance(module, Absent)]:
            del sys.modules[name]
        if kind is None or not issubclass(kind, Exception):
            return False
        if not issubclass(kind, ImportError):
            warnings.warn(
                f"an imports() block was left because of {error!r}; what comes after it in the "
                "block was not done",
                stacklevel=2,
            )
        return True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        outer = name.rpartition(".")[0]
        if isinstance(sys.modules.get(outer), Absent) or (not outer and self._is_programs()):
            return ModuleSpec(name, self, is_package=True)
        return None

    def _is_programs(self) -> bool:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") in _MACHINERY:
            frame = frame.f_back
        return frame.f_globals is self._globals

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: an absent module has no code."""
