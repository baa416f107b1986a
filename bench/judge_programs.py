"""Which programs for Modal can be imported with volfs in Modal's place, and what stops others.

    python -m bench.judge_programs FOLDER

Each Python file below FOLDER that imports modal is run as a module of its own process,
with ``modal`` being volfs, in a store that is thrown away. Modules that are not installed
are replaced by ones that have every name: so a program may also fail for what it
computes with their values. The table has the errors, the most frequent first.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 60
SHOWN = 100
"""How much of an error is in the table."""
IMPORTS = re.compile(r"^\s*(import modal|from modal)\b", re.MULTILINE)
CHILD = "bench.judged_program"
ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path) -> None:
    programs = [path for path in sorted(folder.rglob("*.py")) if _is_program(path)]
    with tempfile.TemporaryDirectory(prefix="volfs-judge-") as scratch:
        environment = _make_environment(Path(scratch))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            errors = list(threads.map(lambda path: judge(path, environment), programs))
    table = Counter(error[:SHOWN] for error in errors if error)
    print(f"{len(programs)} programs, {errors.count('')} imported")
    for error, count in table.most_common():
        print(f"{count:5} {error}")


def _is_program(path: Path) -> bool:
    return path.is_file() and IMPORTS.search(path.read_text(errors="replace")) is not None


def _make_environment(scratch: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(scratch),
        "PYTHONPATH": str(ROOT),
        "VOLFS_STORE": str(scratch / "store"),
        "VOLFS_RUNTIME_DIR": str(scratch / "run"),
        "VOLFS_STATE_DIR": str(scratch / "state"),
        "XDG_CACHE_HOME": str(scratch / "cache"),
    }


def judge(path: Path, environment: dict[str, str]) -> str:
    """The error with which it ends; empty if it was imported."""
    command = [sys.executable, "-m", CHILD, str(path)]
    try:
        done = subprocess.run(
            command, env=environment, cwd=path.parent, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"more than {SECONDS} s"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (lines or ["no word"])[-1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
