"""What a directory of the disk cache takes, counted by somebody else."""

from __future__ import annotations

import os
from pathlib import Path


def measure_disk(directory: Path) -> int:
    """As ``du`` says it, of all that is in a directory."""
    total = directory.stat().st_blocks * 512
    for top, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
