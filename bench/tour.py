"""The places of one tour, how it runs commands and says what it does, and how it looks at trees."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.workplace import VOLFS, unmount_anyhow


class BrokenPromiseError(Exception):
    """Something was not as volfs promises."""


@dataclass
class Demo:
    """The places of one run, and what must be gone after it."""

    directory: Path
    files: int
    big: int
    """Size of the large file in MiB."""
    is_whole: bool = False
    """Whether trees go in whole, however many files they have."""
    step_seconds: list[tuple[str, float]] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self.directory / "store"
        self.source = self.directory / "source"
        """What goes in, on the disk: the two mounts are compared with it."""
        self.one = self.directory / "one"
        self.two = self.directory / "two"
        self.environment = os.environ | {"VOLFS_STORE": str(self.store), "LC_ALL": "C.UTF-8"}

    # --- running commands ------------------------------------------------

    def run(self, *words: str | Path, status: int = 0) -> str:
        """Show a command line and run it; its output, shown too. BrokenPromiseError."""
        done = self._call(words)
        said = (done.stdout + done.stderr).strip()
        for line in shorten(said.splitlines()):
            print(f"    {line}")
        check(done.returncode == status, f"exit status {done.returncode}, expected {status}")
        return said

    def ask(self, *words: str | Path) -> Any:
        """The JSON that a command of volfs prints; shown is only the command line."""
        done = self._call((*words, "--json"))
        check(done.returncode == 0, f"exit status {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def _call(self, words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        line = [str(word) for word in words]
        print("  $ " + " ".join(line))
        if line[0] == "volfs":
            line[0] = str(VOLFS)
        return subprocess.run(
            line,
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )

    # --- the end ---------------------------------------------------------

    def clean_up(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        for path in (self.one, self.two):
            unmount_anyhow(path)
        shutil.rmtree(self.directory, ignore_errors=True)


def check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise BrokenPromiseError(otherwise)


def say(text: str) -> None:
    print(f"  {text}")


def shorten(lines: list[str], most: int = 8) -> list[str]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"… and {len(lines) - most + 1} more lines"]


def count_files(root: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(root))


def compare_attributes(left: Path, right: Path) -> int:
    """How many names were compared. BrokenPromiseError where two differ."""
    compared = 0
    for root, directories, names in os.walk(left):
        below = os.path.relpath(root, left)
        for name in (*directories, *names):
            here, there = os.path.join(root, name), os.path.join(right, below, name)
            a, b = (describe_attributes(os.lstat(path)) for path in (here, there))
            check(a == b, f"{there}: {b}, expected {a}")
            compared += 1
    return compared


def describe_attributes(status: os.stat_result) -> dict[str, int]:
    found = {
        "mode": status.st_mode,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime": status.st_mtime_ns,
    }
    if not stat.S_ISDIR(status.st_mode):
        found |= {"size": status.st_size, "links": status.st_nlink}
    return found


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
