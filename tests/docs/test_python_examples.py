"""Every ``python`` block of the README and of the documents on the API runs, one after the other.

The blocks of a document share their names, a store, and the local files named in them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = ["README.md", "docs/python-api.md", "docs/migrating-from-modal.md"]


@pytest.mark.fuse
@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_run(name: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / name).read_text())
    assert blocks
    (tmp_path / "local.txt").write_text("local")
    (tmp_path / "local_dir").mkdir()
    (tmp_path / "local_dir" / "a").write_text("a")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VOLFS_STORE": str(tmp_path / "store"),
            "VOLFS_RUNTIME_DIR": str(tmp_path / "run"),
            "VOLFS_RUN_COMMANDS": "machine",  # one changes a volume, and the tests may be root's
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
