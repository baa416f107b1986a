"""Measure what volfs costs, beside the file system of the same disk.

    ./dev bench [--smoke] [--only NAME]... [--json FILE] [--dir DIR] [--assert]

A table on the standard output; docs/performance.md says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(ROOT)]

from bench.figures import Figure, format_table, show_row  # noqa: E402
from bench.machine import describe_machine  # noqa: E402
from bench.measure_big import measure_big_file, measure_rewrites  # noqa: E402
from bench.measure_buckets import measure_buckets  # noqa: E402
from bench.measure_commit import measure_commit, measure_rounds  # noqa: E402
from bench.measure_containers import measure_containers  # noqa: E402
from bench.measure_distributed import measure_distributed  # noqa: E402
from bench.measure_init import measure_init  # noqa: E402
from bench.measure_mount import measure_mount  # noqa: E402
from bench.measure_read import measure_read  # noqa: E402
from bench.measure_requests import measure_requests  # noqa: E402
from bench.measure_services import measure_services  # noqa: E402
from bench.measure_small import (  # noqa: E402
    measure_create,
    measure_reload,
    measure_small_reads,
    measure_walk,
    measure_writes,
)
from bench.measure_tables import measure_tables  # noqa: E402
from bench.workplace import SMOKE, Sizes, Workplace  # noqa: E402

MEASURES: dict[str, Callable[[Workplace], Iterator[Figure]]] = {
    "mount": measure_mount,
    "containers": measure_containers,
    "commit": measure_commit,
    "rounds": measure_rounds,
    "rewrites": measure_rewrites,
    "read": measure_read,
    "create": measure_create,
    "reload": measure_reload,
    "big": measure_big_file,
    "writes": measure_writes,
    "small-reads": measure_small_reads,
    "walk": measure_walk,
    "requests": measure_requests,
    "init": measure_init,
    "services": measure_services,
    "tables": measure_tables,
    "buckets": measure_buckets,
    "distributed": measure_distributed,
}
SPACE = {False: 8 << 30, True: 1 << 30}


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="volfs-bench-", dir=options.dir) as directory:
        free = shutil.disk_usage(directory).free
        if free < SPACE[options.smoke]:
            need = SPACE[options.smoke] >> 30
            sys.exit(f"bench: {directory}: {need} GiB are needed, {free / (1 << 30):.1f} are free")
        facts = describe_machine(Path(directory))
        print(f"{facts['kernel']}, {facts['cpus']} CPUs, {facts['file_system']}, {facts['date']}")
        figures = []
        place = Workplace(Path(directory) / "work", SMOKE if options.smoke else Sizes())
        with place:
            for name in options.only or MEASURES:
                figures += measure(place, name)
    print("\n" + format_table(map(show_row, figures)))
    if options.json:
        report = {"machine": facts, "figures": [figure.as_json() for figure in figures]}
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    missed = [figure for figure in figures if figure.verdict == "missed"]
    return 1 if missed and options.assert_ else 0


def measure(place: Workplace, name: str) -> list[Figure]:
    """The figures of one measure; a word on it meanwhile, for whoever waits."""
    started = time.perf_counter()
    print(f"{name} … ", end="", flush=True, file=sys.stderr)
    figures = list(MEASURES[name](place))
    os.sync()  # what this one wrote shall not slow the next one down
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return figures


def default_directory() -> Path:
    """For temporary files if that is on the repository's disk, else beside the repository."""
    usual = Path(tempfile.gettempdir())
    return usual if usual.stat().st_dev == ROOT.stat().st_dev else ROOT.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="small: only to see that it works")
    parser.add_argument(
        "--only", action="append", choices=MEASURES, help="this one alone; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--dir",
        type=Path,
        default=default_directory(),
        help="where; default: on the repository's disk",
    )
    parser.add_argument(
        "--assert", dest="assert_", action="store_true", help="fail where a target is missed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
