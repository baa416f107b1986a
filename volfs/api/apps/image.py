"""``volfs.Image``: the things that a container has besides its volumes, in Modal's shape.

A container here sees this machine's files, so an image holds only additions: packages for Python,
variables, files, and steps that are run once.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Concatenate, ParamSpec

from volfs.api.apps.absent import Imports
from volfs.api.apps.building import BuiltImage, LocalPath, Step, Variables, Workdir
from volfs.api.apps.function_options import Options, check_env, note_ignored, rename_older
from volfs.api.apps.image_calls import RunFunction, check_may_run, run_lines
from volfs.api.apps.image_docker import Context, DockerSteps, IgnoreOption, read_dockerfile
from volfs.api.apps.image_facts import ImageFacts
from volfs.api.apps.image_steps import NAMES, flatten
from volfs.api.apps.notes import note
from volfs.api.deprecated import warn_of
from volfs.api.secret import Secret
from volfs.api.volume import Volume
from volfs.containers.messages import IMAGE, is_local
from volfs.errors import InvalidError, NotFoundError

P = ParamSpec("P")


@dataclass(frozen=True)
class Image(DockerSteps, ImageFacts):
    """An image. Each method returns another image with one addition, and leaves this one as it
    is."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Image, ()  # a function may refer to an image, and does not need it in a container

    # --- first steps -----------------------------------------------------

    @staticmethod
    def debian_slim(python_version: str | None = None, force_build: bool = False) -> Image:
        """This machine, and the Python of this program."""
        if python_version is not None:
            note("python_version", "containers have the Python of this program")
        return Image()

    @staticmethod
    def micromamba(python_version: str | None = None, force_build: bool = False) -> Image:
        """This machine and the Python of this program, as ``debian_slim``."""
        return Image.debian_slim(python_version)

    @staticmethod
    def from_scratch(force_build: bool = False) -> Image:
        """This machine as well, because no container is empty."""
        note("from_scratch", "not empty: containers see the files of this machine")
        return Image()

    @staticmethod
    def from_registry(
        tag: str,
        secret: Secret | None = None,
        *,
        setup_dockerfile_commands: Sequence[str] = (),
        force_build: bool = False,
        add_python: str | None = None,
        **given: Any,
    ) -> Image:
        """This machine as well, because nothing is fetched."""
        note(tag, "not fetched: containers see the files of this machine")
        if add_python is not None:
            note("add_python", "containers have the Python of this program")
        return Image().dockerfile_commands(list(setup_dockerfile_commands))

    @staticmethod
    def from_gcp_artifact_registry(tag: str, secret: Secret | None = None, **given: Any) -> Image:
        """As ``from_registry``."""
        return Image.from_registry(tag, secret, **given)

    @staticmethod
    def from_aws_ecr(tag: str, secret: Secret | None = None, **given: Any) -> Image:
        """As ``from_registry``."""
        return Image.from_registry(tag, secret, **given)

    @staticmethod
    def from_dockerfile(
        path: str | Path,
        *,
        context_dir: Path | str | None = None,
        ignore: IgnoreOption = None,
        build_args: Mapping[str, str] | None = None,
        add_python: str | None = None,
        registry_secret: Secret | None = None,
        **given: Any,
    ) -> Image:
        """The instructions of a Dockerfile that have a meaning on top of this machine.
        NotFoundError; InvalidError."""
        if add_python is not None:
            note("add_python", "containers have the Python of this program")
        file = Path(path).expanduser()
        context = Context(Path(context_dir or "."), {}, ignore)
        return Image()._follow(read_dockerfile(file), str(path), context, build_args or {}, given)

    @staticmethod
    def from_name(name: str, **_: Any) -> Image:
        """An image that raises NotFoundError when a container needs it, because no image has a
        name here."""
        return Image()._with(_NamedImage(name))

    from_id = from_name

    # --- steps that are done once ----------------------------------------

    def run_commands(
        self,
        *commands: NAMES,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        volumes: Mapping[str | PurePosixPath, Any] | None = None,
        force_build: bool = False,
        **noted: Any,
    ) -> Image:
        """Run shell commands. What they write outside of volumes, they write on this machine.

        Therefore commands are not run as root unless VOLFS_RUN_COMMANDS=machine allows it:
        ImageBuildError.
        """
        note_ignored(noted)
        if any(not isinstance(one, Volume) for one in (volumes or {}).values()):
            raise InvalidError("Image.run_commands only supports volumes that are modal.Volume")
        options = Options().change(env=env, secrets=secrets, volumes=volumes)
        lines = tuple(flatten(commands))
        if not lines:
            return self
        args = (lines, self._find_shell())
        step = RunFunction(run_lines, args, {}, options, force_build, check_may_run)
        return self._with(step)

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
        """Run a function in a container. It runs again only if its code, arguments or volumes
        change."""
        if not callable(raw_f):
            raise InvalidError("run_function takes a function, not what app.function made of it")
        renamed = rename_older({"secrets": secrets, **noted})
        secrets = renamed.pop("secrets")
        note_ignored(renamed)
        options = Options().change(
            env=env,
            secrets=secrets,
            volumes=volumes,
            network_file_systems=network_file_systems,
            timeout=timeout,
        )
        return self._with(RunFunction(raw_f, tuple(args), dict(kwargs or {}), options, force_build))

    # --- settings and files of containers --------------------------------

    def env(self, vars: Mapping[str, str]) -> Image:
        """Set variables. A function's Secrets replace them. InvalidError."""
        return self._with(Variables(check_env(vars)))

    def workdir(self, path: str | PurePosixPath) -> Image:
        """Set the directory in which programs start."""
        return self._with(Workdir(str(path)))

    def shell(self, shell_commands: list[str]) -> Image:
        """Set the shell of the ``run_commands`` after this one. InvalidError."""
        return self._with(_Shell(tuple(_check_words("shell", shell_commands))))

    def _find_shell(self) -> tuple[str, ...]:
        shells = (step.words for step in self._iter_steps() if isinstance(step, _Shell))
        return next(shells, ("sh", "-c"))

    def entrypoint(self, entrypoint_commands: list[str]) -> Image:
        """Noted, not run: containers start with the function. InvalidError."""
        words = _check_words("entrypoint", entrypoint_commands)
        if words:
            note(f"entrypoint {' '.join(words)}", "not run: containers start with the function")
        return self

    def cmd(self, cmd: list[str]) -> Image:
        """Noted, not run, likewise. InvalidError."""
        words = _check_words("cmd", cmd)
        if words:
            note(f"cmd {' '.join(words)}", "not run: containers start with the function")
        return self

    def add_local_file(
        self, local_path: str | Path, remote_path: str, *, copy: bool = False
    ) -> Image:
        """Show a file, read-only, at ``remote_path``, or below it if it ends with a slash.
        InvalidError."""
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
        """Show a directory, read-only, without the files that match ``ignore``. InvalidError."""
        _check_absolute("add_local_dir", remote_path)
        chosen = ignore if callable(ignore) else tuple(ignore)
        place = remote_path.rstrip("/")
        return self._with(LocalPath(Path(local_path).absolute(), place, chosen, copy))

    def add_local_python_source(self, *modules: str, **_: Any) -> Image:
        """Do nothing, because containers find the modules of this program anyway. NotFoundError
        for an unknown module."""
        for module in modules:
            if is_local() and importlib.util.find_spec(module) is None:
                raise NotFoundError(f"{module}: no such module")
        return self

    def pipe(
        self, func: Callable[Concatenate[Image, P], Image], *args: P.args, **kwargs: P.kwargs
    ) -> Image:
        """Return what the function makes of this image."""
        return func(self, *args, **kwargs)

    def copy_local_file(self, local_path: str | Path, remote_path: str = "./") -> Image:
        """Modal's former name for ``add_local_file(copy=True)``. InvalidError."""
        warn_of("Image.copy_local_file any more", "Image.add_local_file(copy=True)")
        return self.add_local_file(local_path, remote_path, copy=True)

    def copy_local_dir(self, local_path: str | Path, remote_path: str = ".") -> Image:
        """Modal's former name for ``add_local_dir(copy=True)``. InvalidError."""
        warn_of("Image.copy_local_dir any more", "Image.add_local_dir(copy=True)")
        return self.add_local_dir(local_path, remote_path, copy=True)

    def imports(self) -> AbstractContextManager[None]:
        """A context manager for imports of modules that only containers of this image need to
        have.

        Any other error in the block is reported in this program, and raised only in those
        containers.
        """
        is_its_container = not is_local() and os.environ.get(IMAGE) == self.identity
        return nullcontext() if is_its_container else Imports()


@dataclass(frozen=True)
class _Shell(Step):
    is_done_once = False
    words: tuple[str, ...]

    def describe(self) -> str:
        return repr(self.words)

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        return built


@dataclass(frozen=True)
class _NamedImage(Step):
    name: str

    def describe(self) -> str:
        return self.name

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        raise NotFoundError(f"no image is called {self.name!r}: images have no names here")


def _check_words(name: str, words: list[str]) -> list[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidError(f"image.{name}() takes a list of words, not {words!r}")
    return words


def _check_absolute(name: str, remote_path: str) -> None:
    if not PurePosixPath(remote_path).is_absolute():
        raise InvalidError(f"image.{name}() currently only supports absolute remote_path values")
