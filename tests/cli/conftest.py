"""The real command in a process of its own, on a store of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.forked import COMMAND_LINE, can_fork, run_forked, run_program
from tests.harness.store_places import BucketPlace, choose_place, skip_directory
from tests.harness.waits import drop_waits

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Result:
    status: int
    out: bytes
    err: str
    """Without what is only said where a machine is busy."""

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Calls ``volfs`` with arguments; the exit status must be the expected one."""

    def __init__(self, directory: Path, bucket: BucketPlace | None = None) -> None:
        # As the installed package does: cli/ is volfs_cli.
        packages = directory / "packages"
        packages.mkdir()
        (packages / "volfs_cli").symlink_to(ROOT / "cli")
        self.directory = directory
        self.bucket = bucket
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{packages}",
            "VOLFS_STORE": bucket.url if bucket else str(directory / "store"),
            "VOLFS_RUNTIME_DIR": str(directory / "run"),
            "PYTHONUTF8": "1",
            "TZ": "UTC",
            **(bucket.environment if bucket else {}),
        }
        self.environment.pop("VOLFS_TRACEBACK", None)

    @property
    def store(self) -> Path:
        """The directory of the store. The test is skipped if the store is in a bucket."""
        return skip_directory() if self.bucket else Path(self.environment["VOLFS_STORE"])

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-m", "volfs_cli.main"]

    def __call__(
        self, *args: str | bytes | Path, status: int = 0, stdin: bytes = b"", **environment: str
    ) -> Result:
        run = run_forked if can_fork(environment) else run_program
        done = run(
            COMMAND_LINE,
            *args,
            input=stdin,
            env=self.environment | environment,
            cwd=self.directory,
        )
        result = Result(done.returncode, done.stdout, drop_waits(done.stderr.decode()))
        assert result.status == status, result
        return result

    def start_alone(
        self, *args: str | bytes | Path, code: str = COMMAND_LINE, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command, or a program, with an interpreter of its own; whatever it ends with."""
        variables = self.environment | environment
        return run_program(code, *args, env=variables, cwd=self.directory)


@pytest.fixture
def volfs(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    return Command(tmp_path, choose_place(request, tmp_path))
