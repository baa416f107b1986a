"""``volfs.Image``: what a container has beside its volumes, in Modal's shape.

A container here sees this machine's files, so an image has only what comes on top:
packages for Python, variables, files, and steps that are run once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from volfs.api.apps.absent import Imports
from volfs.api.apps.building import (
    Built,
    LocalPath,
    Packages,
    Step,
    Variables,
    Workdir,
    make_key,
)
from volfs.api.apps.image_calls import RunFunction, run_lines
from volfs.api.apps.notes import note
from volfs.api.apps.options import Options, check_env, note_ignored
from volfs.api.dashboard import HasDashboard
from volfs.api.secret import Secret
from volfs.api.volume import Volume
from volfs.containers.messages import is_local
from volfs.errors import InvalidError, NotFoundError

_TOO_LATE = (
    "An image tried to run a build step after using `image.add_local_*` to include local files.\n\n"
    "Run `image.add_local_*` commands last in your image build, or use "
    "`image.add_local_*(..., copy=True)` to copy the files into the image."
)
_NAMES = str | Sequence[str]


@dataclass(frozen=True)
class Image(HasDashboard):
    """Each method gives another image with something more; this one stays as it is."""

    before: Image | None = None
    step: Step | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Image, ()  # a function may name it, and has no use for it in a container

    # --- where it begins -------------------------------------------------

    @staticmethod
    def debian_slim(python_version: str | None = None, force_build: bool = False) -> Image:
        """This machine, and the Python of this program."""
        if python_version is not None:
            note("python_version", "containers have the Python of this program")
        return Image()

    @staticmethod
    def from_registry(tag: str, **_: Any) -> Image:
        """This machine as well: nothing is fetched."""
        note(tag, "not fetched: containers see the files of this machine")
        return Image()

    # --- steps, done once ------------------------------------------------

    def pip_install(
        self,
        *packages: _NAMES,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        find_links: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        **_: Any,
    ) -> Image:
        """Packages for Python, kept for the next time, by what is asked for."""
        given = {
            "--index-url": index_url,
            "--extra-index-url": extra_index_url,
            "--find-links": find_links,
        }
        options = [text for key, value in given.items() if value for text in (key, value)]
        options += [*(["--pre"] if pre else []), *extra_options.split()]
        return self._with(Packages((*options, *_flatten(packages)), force_build))

    def uv_pip_install(self, *packages: _NAMES, **options: Any) -> Image:
        """As ``pip_install``, which takes uv where there is one."""
        return self.pip_install(*packages, **options)

    def pip_install_from_requirements(self, requirements_txt: str | Path, **options: Any) -> Image:
        """Packages that a file names: again when its text changes. FileNotFoundError."""
        path = Path(requirements_txt).absolute()
        given = self.pip_install("-r", str(path), **options).step
        assert isinstance(given, Packages)
        return self._with(replace(given, requirements=path.read_text()))

    def apt_install(self, *packages: _NAMES, **_: Any) -> Image:
        """Noted, not done: containers have the packages of this machine."""
        names = " ".join(_flatten(packages))
        note(f"apt_install {names}", f"if it is missing here: apt-get install {names}")
        return self

    def run_commands(
        self,
        *commands: _NAMES,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        volumes: Mapping[str | PurePosixPath, Any] | None = None,
        force_build: bool = False,
        **noted: Any,
    ) -> Image:
        """Shell commands. What they write outside of volumes they write on this machine."""
        note_ignored(noted)
        if any(not isinstance(one, Volume) for one in (volumes or {}).values()):
            raise InvalidError("Image.run_commands only supports volumes that are modal.Volume")
        options = Options().change(env=env, secrets=secrets, volumes=volumes)
        lines = tuple(_flatten(commands))
        return self._with(RunFunction(run_lines, (lines,), {}, options, force_build))

    def run_function(
        self,
        raw_f: Callable[..., Any],
        *,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        volumes: Mapping[str | PurePosixPath, Any] | None = None,
        network_file_systems: Mapping[str | PurePosixPath, Any] | None = None,
        timeout: float | None = 3600,
        force_build: bool = False,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **noted: Any,
    ) -> Image:
        """Run a function in a container; again only if its code, arguments or volumes change."""
        if not callable(raw_f):
            raise InvalidError("run_function takes a function, not what app.function made of it")
        note_ignored(noted)
        options = Options().change(
            env=env,
            secrets=secrets,
            volumes=volumes,
            network_file_systems=network_file_systems,
            timeout=timeout,
        )
        return self._with(RunFunction(raw_f, tuple(args), dict(kwargs or {}), options, force_build))

    # --- what containers are given ---------------------------------------

    def env(self, vars: Mapping[str, str]) -> Image:
        """Variables, which a function's Secrets replace. InvalidError."""
        return self._with(Variables(check_env(vars)))

    def workdir(self, path: str | PurePosixPath) -> Image:
        """Where programs start."""
        return self._with(Workdir(str(path)))

    def add_local_file(
        self, local_path: str | Path, remote_path: str, *, copy: bool = False
    ) -> Image:
        """A file, read-only; below ``remote_path`` if that ends with a slash. InvalidError."""
        _check_absolute("add_local_file", remote_path)
        if remote_path.endswith("/"):
            remote_path += Path(local_path).name
        return self._with(LocalPath(Path(local_path).absolute(), remote_path, (), copy))

    def add_local_dir(
        self,
        local_path: str | Path,
        remote_path: str,
        *,
        copy: bool = False,
        ignore: Sequence[str] | Callable[[Path], bool] = (),
    ) -> Image:
        """A directory, read-only, without what ``ignore`` says. InvalidError."""
        _check_absolute("add_local_dir", remote_path)
        chosen = ignore if callable(ignore) else tuple(ignore)
        place = remote_path.rstrip("/")
        return self._with(LocalPath(Path(local_path).absolute(), place, chosen, copy))

    def imports(self) -> AbstractContextManager[None]:
        """A block of imports, of which only containers need have the modules."""
        return Imports() if is_local() else nullcontext()

    def add_local_python_source(self, *modules: str, **_: Any) -> Image:
        """Modules of this program, which containers find anyway. NotFoundError."""
        for module in modules:
            if importlib.util.find_spec(module) is None:
                raise NotFoundError(f"{module}: no such module")
        return self

    # --- making it -------------------------------------------------------

    def _with(self, step: Step) -> Image:
        if step.is_done_once and not isinstance(step, LocalPath) and self._has_files():
            raise InvalidError(_TOO_LATE)
        return Image(self, step)

    def _has_files(self) -> bool:
        """Whether there are some that are not copied."""
        mine = isinstance(self.step, LocalPath) and not self.step.copy
        return mine or (self.before is not None and self.before._has_files())

    def build(self) -> Built:
        """Do what was not done before, on this machine. RemoteError; what functions raise."""
        return self._build()[0]

    def _build(self) -> tuple[Built, str]:
        if self.before is None or self.step is None:
            return Built(), ""
        built, key = self.before._build()
        key = make_key(key, type(self.step).__name__, self.step.describe())
        return self.step.apply(built, key), key


def _flatten(given: Sequence[_NAMES]) -> list[str]:
    return [name for one in given for name in ([one] if isinstance(one, str) else one)]


def _check_absolute(name: str, remote_path: str) -> None:
    if not PurePosixPath(remote_path).is_absolute():
        raise InvalidError(f"image.{name}() currently only supports absolute remote_path values")
