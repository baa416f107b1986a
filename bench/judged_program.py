"""``python -m bench.judged_program FILE``: import one program with volfs as ``modal``."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import volfs

OWN = {"modal", "volfs", "volfs_cli", "sitecustomize", "usercustomize"}
LOADED = ("volfs.api.apps.app", "volfs.api.apps.image", "volfs.types", "volfs.exception", "asyncio")
"""Before anything is replaced: libraries ask what is installed."""


class Anything:
    """A value of a library that is not there: it has all attributes, and can be called."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes everything, as a base class has to."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Takes everything."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *args: Any, **options: Any) -> Any:
        """As a decorator, what it decorates."""
        return args[0] if len(args) == 1 and not options and callable(args[0]) else Anything()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (Anything,)

    def __getitem__(self, key: Any) -> Any:
        return Anything()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __add__ = __truediv__ = __mul__ = __or__

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""


class Replacing(MetaPathFinder, Loader):
    """The last finder: modules that no other one has found."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in OWN:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__getattr__ = _get_anything  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def _get_anything(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()


def main(path: Path) -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    for name in LOADED:
        importlib.import_module(name)
    sys.modules["modal"] = volfs
    names, root = _find_package(path)
    sys.path[:0] = [str(root), str(path.parent)]
    sys.meta_path.append(Replacing())
    sys.argv = [str(path)]
    importlib.import_module(".".join(names)) if len(names) > 1 else _run(path)


def _find_package(path: Path) -> tuple[list[str], Path]:
    """The module's name, and the folder that it is found in."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    return names, folder


def _run(path: Path) -> None:
    spec = importlib.util.spec_from_file_location("judged", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judged"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
