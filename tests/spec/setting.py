"""What surrounds a block when it runs: names, files, a store, and a ``modal`` on the PATH."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple
from zipfile import ZipFile

from tests.spec.blocks import BLOCKS, Block

PRELUDE = """
import volfs as modal
import json, os, queue, shutil, time
from pathlib import Path
app = modal.App("t")
"""


class Done(NamedTuple):
    """A command of a block, and what came of it."""

    command: str
    status: int
    out: str
    err: str


class Setting:
    """One process's names, which the blocks that run here share, as a reader takes them.

    Nothing here is a module of this project: as in a user's file, functions are known
    by these names alone.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names: dict[str, Any] = {"__name__": "block"}
        self.define(PRELUDE)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def define(self, source: str) -> None:
        """Run a piece of Python that the documents leave to the reader."""
        self._execute(compile(textwrap.dedent(source), "reader", "exec"))

    def run(self, *numbers: int) -> None:
        """Run blocks of Python, one after the other, unmodified."""
        for number in numbers:
            block = BLOCKS[number]
            self._execute(compile(block.text, block.where, "exec"))

    def _execute(self, code: CodeType) -> None:
        exec(code, self.names)

    def stop(self) -> None:
        """End the containers that are kept for the next call."""
        self["app"].close()

    def renew_app(self) -> None:
        """Another app, where functions may have names that were used before."""
        self.stop()
        self.define('app = modal.App("another")')

    def write_program(self, name: str, *numbers: int) -> Path:
        """A file with these blocks, below the names that the documents leave to the reader."""
        prelude = f"import sys, volfs\nsys.modules['modal'] = volfs\n{PRELUDE}\n"
        return self.write(name, prelude + "".join(BLOCKS[number].text for number in numbers))

    def write(self, name: str, content: str = "content\n") -> Path:
        """A file in the directory where the blocks run."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


class Shell:
    """Runs blocks of shell: each command by itself, in the block's order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        programs = directory.parent / "bin"
        programs.mkdir()
        (programs / "modal").symlink_to(Path(sys.executable).parent / "volfs")
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, number: int) -> list[Done]:
        return [self.call(command) for command in _split(BLOCKS[number])]

    def call(self, command: str) -> Done:
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self.environment,
            timeout=60,
            check=False,
        )
        return Done(command, done.returncode, done.stdout, done.stderr)


def _split(block: Block) -> list[str]:
    """Its commands; a backslash at the end of a line continues one."""
    assert block.is_shell, block.where
    commands = re.split(r"(?<!\\)\n", block.text)
    return [command for command in commands if command and not command.startswith("#")]


def make_wheel(directory: Path, name: str, source: str) -> None:
    """A package of one module, for pip to find instead of the one of that name."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents = {f"{name}.py": source, f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    contents[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in contents)
    with ZipFile(directory / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in contents.items():
            wheel.writestr(path, content)
