"""What the figures were measured on, and putting it into a known state."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

from volfs.system.mountinfo import find_fs_type

LIBRARIES = ("blake3", "lmdb", "msgspec", "pyfuse3", "trio", "xxhash", "zstandard")
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def describe_machine(directory: Path) -> dict[str, Any]:
    """Facts of this machine and of the disk that holds ``directory``."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "kernel": platform.release(),
        "cpu": _find_line(Path("/proc/cpuinfo"), "model name"),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": list(os.getloadavg()),
        "file_system": find_file_system(directory),
        "python": platform.python_version(),
        "libraries": {name: _find_version(name) for name in LIBRARIES},
    }


def find_file_system(directory: Path) -> str:
    """The type of the file system that holds a directory."""
    return find_fs_type(directory) or "?"


def can_drop_caches() -> bool:
    return os.access(DROP_CACHES, os.W_OK)


def drop_caches() -> None:
    """Let the kernel forget every page, name and inode that it need not keep."""
    os.sync()
    DROP_CACHES.write_text("3\n")


def _find_line(path: Path, key: str) -> str:
    for line in path.read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return "?"


def _find_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "?"
