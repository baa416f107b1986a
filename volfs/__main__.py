"""``python -m volfs``: the command line, which this package does not import otherwise."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("volfs_cli.main", run_name="__main__", alter_sys=True)
