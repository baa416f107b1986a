"""System calls of a child process as strace sees them: listed, or made to fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import Child, Say

WRITING = (
    "pwrite64",
    "pwritev",
    "pwritev2",
    "writev",
    "fdatasync",
    "fsync",
    "ftruncate",
    "openat",
    "mkdir",
    "rename",
)
"""Those that a full or failing disk may refuse."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


def run_traced(work: Callable[[Say], None], output: Path, *options: str) -> list[tuple[Any, ...]]:
    """Run ``work`` in a child, attached to by strace from its first step; all that it said."""
    reader, writer = os.pipe()

    def wait_and_work(say: Say) -> None:
        os.close(writer)
        os.read(reader, 1)
        work(say)

    child = Child(wait_and_work)
    os.close(reader)
    strace = subprocess.Popen(
        ["strace", "-f", "-q", "-o", output, *options, "-p", str(child.pid)],
        stderr=subprocess.PIPE,
    )
    _wait_until_attached(child.pid, strace)
    os.write(writer, b"x")
    os.close(writer)
    said = child.end()
    strace.communicate(timeout=20)
    return said


def _wait_until_attached(pid: int, strace: subprocess.Popen[bytes]) -> None:
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        assert strace.poll() is None, strace.stderr and strace.stderr.read()


def count_calls(output: Path) -> Counter[str]:
    """How often each system call was made."""
    return Counter(re.findall(r"^\d+ +(\w+)\(", output.read_text(errors="replace"), re.MULTILINE))
