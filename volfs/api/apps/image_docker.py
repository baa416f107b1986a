"""The methods of ``volfs.Image`` that read Dockerfiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self, cast

from volfs.api.apps.building import Ignore, LocalPath, Variables, Workdir
from volfs.api.apps.dockerfile import (
    Instruction,
    find_packages,
    parse,
    parse_copy,
    parse_list,
    parse_pairs,
    split_commands,
    substitute,
    take_last_stage,
)
from volfs.api.apps.image_packages import PackageSteps
from volfs.api.apps.image_steps import NAMES, flatten
from volfs.api.apps.installing import read_local
from volfs.api.apps.notes import note
from volfs.containers.messages import is_local
from volfs.errors import InvalidError, NotFoundError
from volfs.system.small_files import read_small_text

IgnoreOption = Sequence[str] | Callable[[Path], bool] | None
"""The files to ignore. None: those that a .dockerignore names."""


class DockerSteps(PackageSteps):
    """Steps from a Dockerfile. Instructions that have a meaning on top of this machine are done,
    and the others are only noted."""

    def dockerfile_commands(
        self,
        *dockerfile_commands: NAMES,
        context_files: Mapping[str, str] | None = None,
        context_dir: Path | str | None = None,
        ignore: IgnoreOption = None,
        build_args: Mapping[str, str] | None = None,
        **given: Any,
    ) -> Self:
        """Follow instructions: ENV, ARG, WORKDIR, COPY, ADD, and RUN of ``pip install``.
        InvalidError."""
        text = "\n".join(flatten(dockerfile_commands))
        context = Context(Path(context_dir or "."), dict(context_files or {}), ignore)
        return self._follow(text, "dockerfile_commands", context, build_args or {}, given)

    def _follow(
        self,
        text: str,
        where: str,
        context: Context,
        build_args: Mapping[str, str],
        given: Mapping[str, Any],
    ) -> Self:
        reader = _Reader(self, context, dict(build_args), given)
        try:
            for instruction in take_last_stage(parse(text)):
                reader.follow(instruction)
        except ValueError as error:
            raise InvalidError(f"{where}: {error}") from None
        return cast(Self, reader.image)


@dataclass(frozen=True)
class Context:
    """The files that COPY can find: those below a directory, and files under other names."""

    directory: Path
    files: Mapping[str, str]
    ignore: IgnoreOption = None

    def find(self, source: str) -> list[Path]:
        """The paths of a source. ValueError; NotFoundError. In a container the files need not
        exist."""
        named = {name.lstrip("/"): path for name, path in self.files.items()}
        if source.lstrip("/") in named:
            return [Path(named[source.lstrip("/")]).expanduser().absolute()]
        directory = self.directory.expanduser().absolute()
        path = Path(os.path.normpath(directory / source.lstrip("/")))
        if not path.is_relative_to(directory):
            raise ValueError(f"{source} is outside of {directory}")
        if path.exists():
            return [path]
        found = sorted(directory.glob(str(path.relative_to(directory))))
        if not found and is_local():
            raise NotFoundError(f"{source}: not found in {directory}")
        return found

    def choose_ignore(self) -> Ignore:
        if self.ignore is None:
            file = self.directory.expanduser() / ".dockerignore"
            lines = read_small_text(file).splitlines() if file.is_file() else []
            return tuple(line.strip() for line in lines if line.strip()[:1] not in ("", "#"))
        return self.ignore if callable(self.ignore) else tuple(self.ignore)


class _Reader:
    """The image and the variables after the instructions so far."""

    def __init__(
        self,
        image: DockerSteps,
        context: Context,
        build_args: dict[str, str],
        given: Mapping[str, Any],
    ) -> None:
        self.image = image
        self._context = context
        self._build_args = build_args
        self._given = given
        self._variables: dict[str, str] = {}
        self._workdir = PurePosixPath("/")

    def follow(self, instruction: Instruction) -> None:
        """Follow one instruction. ValueError."""
        text = instruction.text
        if instruction.name not in ("RUN", "CMD", "ENTRYPOINT", "SHELL"):
            text = substitute(text, self._variables)
        match instruction.name:
            case "ENV":
                pairs = parse_pairs(text)
                self._variables |= pairs
                self.image = self.image._with(Variables(pairs))
            case "ARG":
                self._take_argument(text)
            case "WORKDIR":
                self._workdir /= text.strip("\"'")
                self.image = self.image._with(Workdir(str(self._workdir)))
            case "COPY" | "ADD":
                self._copy(instruction.name, text)
            case "RUN":
                self._run(text)
            case name:
                note(f"{name} {text}".strip(), _WHY.get(name, "means nothing here: not done"))

    def _take_argument(self, text: str) -> None:
        for name, equals, default in (word.partition("=") for word in parse_list(text)):
            if name in self._build_args or equals:
                self._variables[name] = self._build_args.get(name, default)

    def _copy(self, name: str, text: str) -> None:
        copy = parse_copy(text)
        if not copy.is_local:
            note(f"{name} {text}", "not done: only files of this machine are copied")
            return
        found = [path for source in copy.sources for path in self._context.find(source)]
        into = copy.place.endswith("/") or len(found) > 1 or copy.place in (".", "..")
        place = self._workdir / copy.place
        for path in found:
            is_file = not path.is_dir()
            at = place / path.name if is_file and into else place
            if str(at) == "/":
                raise ValueError(f"{name} {text}: a directory cannot be put at /")
            ignore = () if is_file else self._context.choose_ignore()
            step = LocalPath(path, os.path.normpath(at), ignore, True)
            self.image = self.image._with(step)

    def _run(self, text: str) -> None:
        for command in split_commands(text):
            packages = find_packages(command)
            if packages:
                image = self.image
                install = image.uv_pip_install if command[:3] == "uv " else image.pip_install
                self.image = install(packages, **self._given)
            elif packages is None:
                note(
                    f"RUN {command}",
                    "not run: it would act on this machine; if it is needed, "
                    "do it once by hand, or say it with Image.run_commands",
                )


_WHY = {
    "FROM": "not fetched: containers see the files of this machine",
    "ENTRYPOINT": "not run: containers start with the function",
    "CMD": "not run: containers start with the function",
    "USER": "not done: containers belong to who runs the program",
}


def read_dockerfile(path: Path) -> str:
    """The text of a Dockerfile. NotFoundError."""
    try:
        return read_local(path)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such Dockerfile") from None
