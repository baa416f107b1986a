"""Names that older versions of Modal had, and that programs still use. Each warns.

They do the same as their successors, or are only noted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from volfs.api.apps.app import App
from volfs.api.apps.notes import note
from volfs.api.network_file_system import NetworkFileSystem
from volfs.errors import DeprecatedWarning

F = TypeVar("F")


def _warn(name: str, instead: str) -> None:
    message = f"Modal has no {name} any more; use {instead}"
    warnings.warn(message, DeprecatedWarning, stacklevel=3)


class Stub(App):
    """The former name of App."""

    def __init__(self, name: str | None = None, **options: Any) -> None:
        _warn("Stub", "App")
        super().__init__(name, **options)

    def __setitem__(self, name: str, what: Any) -> None:
        setattr(self, name, what)

    def __getitem__(self, name: str) -> Any:
        """The attribute of this name. KeyError."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


def create_package_mounts(module_names: Sequence[str]) -> list[Mount]:
    """A Mount for each module."""
    return [Mount.from_local_python_packages(name) for name in module_names]


def build(force: bool = False, timeout: float = 86400) -> Callable[[F], F]:
    """Mark a method that Modal ran when the image was built. Here only ``enter`` runs it."""
    _warn("@build", "@enter, or Image.run_function")
    note("@build", "accepted: nothing runs at build time; call it, or use Image.run_function")
    return lambda function: function


@dataclass(frozen=True)
class Mount:
    """Files of this machine, for ``mounts=``. Nothing is mounted, because containers see this
    machine's files anyway."""

    local_path: Path | None = None
    remote_path: str | None = None

    _why: ClassVar[str] = "use Image.add_local_dir, add_local_file or add_local_python_source"

    @classmethod
    def from_local_dir(
        cls, local_path: str | Path, *, remote_path: str | None = None, **_: Any
    ) -> Mount:
        return cls._make(local_path, remote_path)

    @classmethod
    def from_local_file(
        cls, local_path: str | Path, remote_path: str | None = None, **_: Any
    ) -> Mount:
        return cls._make(local_path, remote_path)

    @classmethod
    def from_local_python_packages(cls, *module_names: str, **_: Any) -> Mount:
        return cls._make(None, None)

    @classmethod
    def from_name(cls, name: str, **_: Any) -> Mount:
        return cls._make(None, None)

    from_local_python_modules = from_local_python_packages

    @classmethod
    def _make(cls, local_path: str | Path | None, remote_path: str | None) -> Mount:
        _warn("Mount", cls._why.removeprefix("use "))
        note("Mount", f"accepted, and nothing is mounted: {cls._why}")
        return cls(None if local_path is None else Path(local_path), remote_path)

    def add_local_dir(self, local_path: str | Path, **_: Any) -> Mount:
        return self

    def add_local_file(self, local_path: str | Path, **_: Any) -> Mount:
        return self


class SharedVolume(NetworkFileSystem):
    """The former name of NetworkFileSystem."""
