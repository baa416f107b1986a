"""Each program in ``examples/`` runs as it is and prints what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "examples"
PRINTED = {
    "fsspec_pandas.py": "3 days now, 2 before\n",
    "fsspec_transaction.py": "2000 rows in 4 files\n",
    "fsspec_duckdb.py": "[(6,)] [(42,)]\n",
    "fsspec_zarr.py": "-1 159999\n",
    "fsspec_datasets.py": "['one', 'two', 'three']\n['four', 'five']\n",
    "fsspec_torch.py": "{'total': 496.0}\n",
}


def test_each_program_is_run() -> None:
    assert sorted(PRINTED) == sorted(each.name for each in PROGRAMS.glob("fsspec_*.py"))


@pytest.mark.parametrize("name", PRINTED)
def test_program(name: str, tmp_path: Path) -> None:
    if name == "fsspec_torch.py":
        pytest.importorskip("torch", reason="PyTorch takes gigabytes and is not installed here")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "VOLFS_STORE": str(tmp_path / "store"),
    }
    done = subprocess.run(
        [sys.executable, PROGRAMS / name],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, PRINTED[name]), done.stderr
