"""Steps of an image that call something in a container."""

from __future__ import annotations

import inspect
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from volfs.api.apps.building import BuiltImage, Step, once
from volfs.api.apps.function_options import Options
from volfs.api.apps.starting import start_container
from volfs.api.apps.targets import get_result
from volfs.api.resource import ResourceHandle
from volfs.containers.messages import Invoke, dump_arguments
from volfs.containers.pickling import dump
from volfs.containers.services import FunctionService
from volfs.errors import InvalidError
from volfs.errors.ported import ImageBuildError

RUN_COMMANDS = "VOLFS_RUN_COMMANDS"
"""The environment variable with which root lets the commands of images change this machine."""
_MACHINE = "machine"


@dataclass(frozen=True)
class RunFunction(Step):
    """A step that runs a function in a container that has the steps before this one."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    force: bool = False
    check: Callable[[], object] = lambda: None
    """The check that runs right before the call, and may forbid it."""

    def describe(self) -> str:
        raw = self.function
        try:
            source = inspect.getsource(raw)
        except (OSError, TypeError):
            source = repr(getattr(getattr(raw, "__code__", None), "co_code", raw))
        mounts = {**self.options.volumes, **self.options.network_file_systems}
        mounted = sorted((str(path), _get_id(handle)) for path, handle in mounts.items())
        given = sorted(self.options.env.items())
        return repr((source, self.args, sorted(self.kwargs.items()), mounted, given))

    def identify(self) -> str:
        return getattr(self.function, "__qualname__", "")

    def apply(self, built: BuiltImage, key: str) -> BuiltImage:
        with once(key, force=self.force) as folder:
            if folder.is_new:
                self._call(built)
        return built

    def _call(self, built: BuiltImage) -> None:
        self.check()
        name = getattr(self.function, "__name__", "run_function")
        service = dump(FunctionService(self.function), f"the function {name}")
        running = start_container(name, replace(self.options, image=built), service)
        try:
            arguments = dump_arguments(self.args, self.kwargs, name)
            answer = running.call(Invoke("", arguments, ""))
            get_result(answer, self.options.timeout)
        finally:
            running.end()


def _get_id(handle: Any) -> str:
    return handle.object_id if isinstance(handle, ResourceHandle) else repr(handle)


def run_lines(lines: tuple[str, ...], shell: tuple[str, ...] = ("sh", "-c")) -> None:
    """In a container: run shell commands, one after the other. RemoteError for one that fails."""
    for line in lines:
        status = subprocess.run([*shell, line], check=False).returncode
        if status != 0:
            raise ImageBuildError(f"image: {line!r} failed with status {status}")


def check_may_run() -> None:
    """Raise ImageBuildError if the commands would run as root, because they could change all of
    this machine. InvalidError for a wrong variable."""
    given = os.environ.get(RUN_COMMANDS, "")
    if given not in ("", _MACHINE):
        raise InvalidError(f"{RUN_COMMANDS} is {given!r}, and can only be {_MACHINE!r}")
    if os.geteuid() == 0 and not given:
        raise ImageBuildError(
            "image: run_commands: not run as root, for the commands would change this machine and "
            f"not an image: run the program as another user, or set {RUN_COMMANDS}={_MACHINE}"
        )
