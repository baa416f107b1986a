"""The methods of ``volfs.Image`` that install packages."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from volfs.api.apps.function_options import check_env, check_secrets, note_ignored
from volfs.api.apps.image_steps import NAMES, ImageSteps, flatten
from volfs.api.apps.installing import (
    Given,
    Packages,
    Project,
    find_dependencies,
    read_local,
    read_project,
    to_pip_options,
    to_private_lines,
)
from volfs.api.apps.notes import note
from volfs.api.secret import Secret
from volfs.containers.messages import is_local
from volfs.errors import InvalidError, NotFoundError

_Env = Mapping[str, str | None] | None
_Secrets = Sequence[Secret] | None


def _to_given(
    force_build: bool = False, env: _Env = None, secrets: _Secrets = None, gpu: Any = None
) -> Given:
    note_ignored({"gpu": gpu})
    return Given(check_secrets(secrets), check_env(env), force_build)


class PackageSteps(ImageSteps):
    """Steps that install packages. Each is done once, and its result is kept under what was asked
    for."""

    def pip_install(
        self,
        *packages: NAMES,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        **given: Any,
    ) -> Self:
        """Install packages for Python by pip, with pip's settings on this machine."""
        options = to_pip_options(
            index_url=index_url,
            extra_index_url=extra_index_url,
            find_links=find_links,
            pre=pre,
            extra_options=extra_options,
        )
        names = flatten(packages)
        return self._with(Packages((*options, *names), _to_given(**given))) if names else self

    def uv_pip_install(
        self,
        *packages: NAMES,
        requirements: Sequence[str] | None = None,
        uv_version: str | None = None,
        **options: Any,
    ) -> Self:
        """Install packages, and those that files name, by uv with its settings; by pip if uv is
        missing."""
        if uv_version is not None:
            note("uv_version=", "the uv that is here is taken")
        if isinstance(requirements, str):
            raise InvalidError("requirements must be a list of files")
        if requirements:
            image = self._install_files(requirements, packages, options)
        else:
            image = self.pip_install(*packages, **options)
        if image is self:
            return self
        assert isinstance(image.step, Packages)
        return self._with(replace(image.step, by="uv"))

    def pip_install_from_requirements(
        self, requirements_txt: str | Path, find_links: str | None = None, **options: Any
    ) -> Self:
        """Install the packages that a file names. They are installed again when its text changes.
        FileNotFoundError."""
        return self._install_files([requirements_txt], (), {**options, "find_links": find_links})

    def _install_files(
        self, files: Sequence[str | Path], packages: Sequence[NAMES], options: Mapping[str, Any]
    ) -> Self:
        paths = [Path(file).expanduser().absolute() for file in files]
        named = [word for path in paths for word in ("-r", str(path))]
        step = self.pip_install(*packages, *named, **options).step
        assert isinstance(step, Packages)
        texts = "".join(map(read_local, paths))
        return self._with(Packages(step.arguments, step.given, texts))

    def pip_install_from_pyproject(
        self,
        pyproject_toml: str | Path,
        optional_dependencies: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """Install the dependencies that a pyproject.toml names. ValueError if it names none."""
        path = Path(pyproject_toml).expanduser()
        return self.pip_install(find_dependencies(path, list(optional_dependencies)), **options)

    def pip_install_private_repos(
        self,
        *repositories: str,
        git_user: str,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        **given: Any,
    ) -> Self:
        """Install packages from GitHub or GitLab, with the GITHUB_TOKEN or GITLAB_TOKEN of the
        Secrets.

        InvalidError.
        """
        if not given.get("secrets"):
            raise InvalidError("private repositories need secrets= with a token")
        lines, needed = to_private_lines(repositories, git_user)
        options = to_pip_options(
            index_url=index_url,
            extra_index_url=extra_index_url,
            find_links=find_links,
            pre=pre,
            extra_options=extra_options,
        )
        return self._with(Packages(options, _to_given(**given), "", lines, needed))

    def uv_sync(
        self,
        uv_project_dir: str | Path = "./",
        *,
        groups: Sequence[str] | None = None,
        extras: Sequence[str] | None = None,
        frozen: bool = True,
        extra_options: str = "",
        uv_version: str | None = None,
        **given: Any,
    ) -> Self:
        """Install the dependencies of a uv project, without the project itself. InvalidError."""
        if uv_version is not None:
            note("uv_version=", "the uv that is here is taken")
        directory = Path(uv_project_dir).expanduser()
        project, lock = directory / "pyproject.toml", directory / "uv.lock"
        if is_local() and not project.exists():
            raise InvalidError(f"{project}: no such file; uv_sync takes a project's directory")
        if "workspace" in read_project(project).get("tool", {}).get("uv", {}):
            raise InvalidError(f"{project}: workspaces of uv are not supported")
        arguments = ["--no-install-project", "--no-editable"]
        arguments += [f"--group={group}" for group in _check_list("groups", groups)]
        arguments += [f"--extra={extra}" for extra in _check_list("extras", extras)]
        files = [("pyproject.toml", read_local(project))]
        if lock.exists():
            files.append(("uv.lock", read_local(lock)))
            arguments += ["--frozen"] if frozen else []
        arguments += shlex.split(extra_options)
        return self._with(Project("uv", tuple(files), tuple(arguments), _to_given(**given)))

    def poetry_install_from_file(
        self,
        poetry_pyproject_toml: str | Path,
        poetry_lockfile: str | Path | None = None,
        *,
        ignore_lockfile: bool = False,
        with_: Sequence[str] = (),
        without: Sequence[str] = (),
        only: Sequence[str] = (),
        poetry_version: str | None = "latest",
        old_installer: bool = False,
        **given: Any,
    ) -> Self:
        """Install the dependencies of a Poetry project, without the project itself.
        NotFoundError."""
        if poetry_version not in (None, "latest") or old_installer:
            note("poetry_version=", "the Poetry that is here is taken")
        project = Path(poetry_pyproject_toml).expanduser()
        lock = Path(poetry_lockfile or project.with_name("poetry.lock")).expanduser()
        files = [("pyproject.toml", read_local(project))]
        if not ignore_lockfile:
            if is_local() and not lock.exists():
                raise NotFoundError(f"{lock}: no such file; ignore_lockfile=True goes without it")
            files.append(("poetry.lock", read_local(lock)))
        arguments = ["--no-root"]
        for option, names in (("--with", with_), ("--without", without), ("--only", only)):
            arguments += [option, ",".join(names)] if names else []
        return self._with(Project("poetry", tuple(files), tuple(arguments), _to_given(**given)))

    # --- methods that are only noted -------------------------------------

    def apt_install(self, *packages: NAMES, **_: Any) -> Self:
        """Noted, not done: containers have the packages of this machine."""
        names = " ".join(flatten(packages))
        note(f"apt_install {names}", f"if it is missing here: apt-get install {names}")
        return self

    def micromamba_install(
        self,
        *packages: NAMES,
        spec_file: str | None = None,
        channels: Sequence[str] = (),
        **_: Any,
    ) -> Self:
        """Noted, not done: containers have the Python of this program."""
        words = [*(f"-c {channel}" for channel in channels), *flatten(packages)]
        words += [f"-f {spec_file}"] if spec_file else []
        note(
            f"micromamba_install {' '.join(words)}",
            "run this program in an environment that has it, or use pip_install",
        )
        return self


def _check_list(name: str, given: Sequence[str] | None) -> list[str]:
    if isinstance(given, str):
        raise InvalidError(f"{name} must be a list, not a string")
    return list(given or ())
