"""Steps of an image that install packages for Python: by pip or uv, or for a project."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from volfs.api.apps.building import BuiltImage, Step, once
from volfs.api.secret import Secret, read_environment
from volfs.containers.messages import is_local
from volfs.errors import InvalidError
from volfs.errors.ported import ImageBuildError
from volfs.system.small_files import read_small_text

_NOT_INHERITED = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_PREFIX", "PIP_ROOT"}
"""Variables that name the place of this program's packages, or the place where pip is to put
packages."""
_INTO_A_FOLDER = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
"""Settings without which pip refuses to install into a folder, if a user's pip.conf says the
opposite."""
Installer = Literal["pip", "uv"]


@dataclass(frozen=True)
class Given:
    """The secrets and variables for installing. Values of Secrets are in no argument and in no
    key."""

    secrets: tuple[Secret, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    force: bool = False

    def make_environment(self) -> dict[str, str]:
        inherited = {key: text for key, text in os.environ.items() if key not in _NOT_INHERITED}
        given = {**read_environment(self.secrets), **self.env}
        return {**inherited, **_INTO_A_FOLDER, **given}


@dataclass(frozen=True)
class Packages(Step):
    arguments: tuple[str, ...]
    """The arguments of pip."""
    given: Given = field(default_factory=Given)
    requirements: str = ""
    """The text of the files that the arguments name."""
    lines: tuple[str, ...] = ()
    """More requirements, in which ``${NAME}`` is a variable."""
    needed: tuple[str, ...] = ()
    """Variables that the Secrets must have."""
    by: Installer = "pip"
    """The program that installs. Each has settings of its own: pip.conf and PIP_*, or uv.toml and
    UV_*."""

    def describe(self) -> str:
        return repr((self.arguments, self.requirements, self.lines, sys.version))

    def identify(self) -> str:
        return repr((self.arguments, self.lines))

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        with once(key, force=self.given.force) as folder:
            lib = folder.path / "lib"
            if folder.is_new:
                self._install(folder.path, lib)
        return replace(
            built,
            import_paths=(str(lib), *built.import_paths),
            programs=(str(lib / "bin"), *built.programs),
        )

    def _install(self, folder: Path, lib: Path) -> None:
        environment = self.given.make_environment()
        missing = [name for name in self.needed if name not in environment]
        if missing:
            raise InvalidError(f"the Secrets have no {missing[0]}, which installing needs")
        more: list[str] = []
        if self.lines:
            (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in self.lines))
            more = ["-r", str(folder / "requirements.txt")]
        installer = _find_installer(self.by)
        run([*installer, "--target", str(lib), *self.arguments, *more], environment)


def _find_installer(by: Installer) -> list[str]:
    """The command that installs: the one that was asked for, else the other one. ImageBuildError
    if there is none."""
    uv = find_program("uv")
    has_pip = importlib.util.find_spec("pip") is not None
    if uv is not None and (by == "uv" or not has_pip):
        return [uv, "pip", "install", "-q", "--python", sys.executable]
    if has_pip:
        return [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    raise ImageBuildError(f"neither pip nor uv is installed: {sys.executable} -m ensurepip")


@dataclass(frozen=True)
class Project(Step):
    """The dependencies of a project's file, in a virtual environment, without the project
    itself."""

    tool: Literal["uv", "poetry"]
    files: tuple[tuple[str, str], ...]
    """The names and texts of the project's file and of its lock file."""
    arguments: tuple[str, ...]
    given: Given = field(default_factory=Given)

    def describe(self) -> str:
        return repr((self.tool, self.files, self.arguments, sys.version))

    def identify(self) -> str:
        return repr((self.tool, self.arguments))

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        with once(key, force=self.given.force) as folder:
            project = folder.path / "project"
            if folder.is_new:
                self._install(project)
        (packages,) = (project / ".venv" / "lib").glob("python*/site-packages")
        return replace(
            built,
            import_paths=(str(packages), *built.import_paths),
            programs=(str(project / ".venv" / "bin"), *built.programs),
        )

    def _install(self, project: Path) -> None:
        project.mkdir()
        for name, text in self.files:
            (project / name).write_text(text)
        program = find_program(self.tool)
        if program is None:
            raise ImageBuildError(f"{self.tool} is not installed: pip install {self.tool}")
        environment = self.given.make_environment()
        if self.tool == "uv":
            command = [program, "sync", "-q", "--project", str(project), "--python", sys.executable]
            # uv must not fetch a Python of its own, because containers have the Python of this
            # program.
            environment |= {"UV_PYTHON_DOWNLOADS": "never"}
            environment |= {"UV_PROJECT_ENVIRONMENT": str(project / ".venv")}
        else:
            command = [program, "install", "-q", "--no-interaction", "--project", str(project)]
            environment |= {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
            environment |= {"POETRY_VIRTUALENVS_CREATE": "true"}
        run([*command, *self.arguments], environment)


def find_program(name: str) -> str | None:
    """The path of a program: by PATH, else beside this program's Python."""
    beside = Path(sys.executable).with_name(name)
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command. ImageBuildError with its output if it fails."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ImageBuildError(f"image: {Path(command[0]).name} {' '.join(command[1:3])} …: {said}")


# --- reading requirements ---------------------------------------------------


def read_local(path: Path) -> str:
    """The text of a file of the program; empty in a container if the file is missing there.

    FileNotFoundError.
    """
    try:
        return read_small_text(path)
    except FileNotFoundError:
        if is_local():
            raise
        return ""


def read_project(path: Path) -> dict[str, Any]:
    """The contents of a TOML file. InvalidError if it is no TOML; FileNotFoundError."""
    try:
        return tomllib.loads(read_local(path))
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"{path}: {error}") from None


def find_dependencies(path: Path, groups: Sequence[str]) -> list[str]:
    """The dependencies of ``[project]``, with those of these optional groups. ValueError;
    InvalidError."""
    project = read_project(path).get("project", {})
    if "dependencies" not in project:
        if not is_local():
            return []
        raise ValueError(
            f"{path} has no dependencies in [project]; where Poetry has them, use "
            "Image.poetry_install_from_file()"
        )
    optional = project.get("optional-dependencies", {})
    for group in groups:
        if group not in optional:
            raise InvalidError(f"{path} has no optional dependencies {group!r}")
    return sorted({*project["dependencies"], *(one for group in groups for one in optional[group])})


_HOSTS = {"github.com": "GITHUB_TOKEN", "gitlab.com": "GITLAB_TOKEN"}


def to_private_lines(
    repositories: Sequence[str], user: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Requirements for private repositories, and the variables with their tokens. InvalidError."""
    lines, needed = [], []
    for repository in repositories:
        host = repository.partition("/")[0] if isinstance(repository, str) else ""
        if host not in _HOSTS or not re.fullmatch(r"[^\s$]+", repository):
            raise InvalidError(
                f"{repository!r} is no private repository: use github.com/OWNER/NAME@REF, or "
                "gitlab.com/…"
            )
        lines.append(f"git+https://{user}:${{{_HOSTS[host]}}}@{repository}")
        needed.append(_HOSTS[host])
    return tuple(lines), tuple(dict.fromkeys(needed))


def to_pip_options(
    *,
    index_url: str | None,
    extra_index_url: str | None,
    find_links: str | None,
    pre: bool,
    extra_options: str,
) -> tuple[str, ...]:
    named = {
        "--index-url": index_url,
        "--extra-index-url": extra_index_url,
        "--find-links": find_links,
    }
    options = [text for key, value in named.items() if value for text in (key, value)]
    return (*options, *(["--pre"] if pre else []), *shlex.split(extra_options))
