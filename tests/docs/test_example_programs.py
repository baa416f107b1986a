"""Each program in ``examples/`` runs as it is and prints what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "examples"
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


RECIPES = {
    "checkpoints.sh": ["the newest:         6", "before the restart: 4", "two steps back:     4"],
    "history_pandas.py": ["tue         12        21", "new: wed"],
    "agent_sandbox.sh": ["A NOTES", "M sum.py", "total = 1 + 2"],
}


@pytest.mark.fuse
@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name: str, tmp_path: Path) -> None:
    program = PROGRAMS / name
    assert name in (PROGRAMS.parent / "README.md").read_text()
    folders = {f"VOLFS_{it}": str(tmp_path / it) for it in ("STORE", "RUNTIME_DIR", "STATE_DIR")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable if program.suffix == ".py" else "sh", program],
        env=os.environ | folders | {"PATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in RECIPES[name] if line not in lines] == [], done


@pytest.mark.fuse
def test_the_picture_of_the_readme_can_be_made(tmp_path: Path) -> None:
    spec = spec_from_file_location("record_terminal", ROOT / "docs" / "record_terminal.py")
    assert spec is not None
    assert spec.loader is not None
    recorder = module_from_spec(spec)
    spec.loader.exec_module(recorder)
    picture = recorder.record(tmp_path)
    kept = (ROOT / "docs" / "terminal.svg").read_text()
    for text in (
        "volfs&#160;create&#160;data",
        "Reloaded&#160;from&#160;version&#160;1&#160;to&#160;2.",
    ):
        assert text in picture
        assert text in kept


@pytest.mark.parametrize("name", PRINTED)
def test_program(name: str, tmp_path: Path) -> None:
    if name == "fsspec_torch.py":
        pytest.importorskip("torch", reason="PyTorch is not installed: ./dev setup says why")
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
