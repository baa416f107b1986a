"""What volfs promises, shown with the commands that a user types.

    ./dev demo [--full] [--dir DIR] [--files N] [--big MIB]

Two mounts of one volume; a real tree of 3,000 files or more (--full: 20,000), and a
large file, go in through one and come out of the other. Each step says what it runs and
what came of it; the first thing that is not as promised ends it with status 1.
Whatever it started is gone at the end, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(ROOT)]

from bench.run import default_directory  # noqa: E402
from bench.tour import BrokenPromiseError, Demo  # noqa: E402
from bench.tour_steps import MIB, STEPS  # noqa: E402

SPACE = 2 << 30
"""Of the disk, beside what the large file takes: it is there three times."""
TOUR, FULL = (3_000, 256), (20_000, 1_024)
"""Files, and MiB of the large file."""


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check_space(options.dir, options.big)
    directory = Path(tempfile.mkdtemp(prefix="volfs-demo-", dir=options.dir))
    demo = Demo(directory, options.files, options.big, options.full)
    status = 1
    try:
        run_steps(demo)
        status = 0
    except BrokenPromiseError as error:
        print(f"\ndemo: not as promised: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        status = 130
    finally:
        with contextlib.suppress(ValueError):  # one Ctrl-C is enough
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.clean_up()
    show_summary(demo, status)
    return status


def run_steps(demo: Demo) -> None:
    for number, step in enumerate(STEPS, start=1):
        title = (step.__doc__ or "").strip()
        print(f"\n{number}. {title}", flush=True)
        started = time.perf_counter()
        try:
            step(demo)
        finally:
            seconds = time.perf_counter() - started
            demo.step_seconds.append((title, seconds))
        print(f"  {seconds:.2f} s")


def show_summary(demo: Demo, status: int) -> None:
    width = max((len(title) for title, _ in demo.step_seconds), default=0)
    print()
    for title, seconds in demo.step_seconds:
        print(f"{title.ljust(width)}  {seconds:8.2f} s")
    if status == 0:
        print("\nEverything is as promised.")


def check_space(directory: Path, big: int) -> None:
    """Ends the program where the disk is too full for what is to come."""
    free = shutil.disk_usage(directory).free
    need = SPACE + 3 * big * MIB
    if free < need:
        sys.exit(
            f"demo: {directory}: about {need / 2**30:.1f} GiB of disk are needed, and "
            f"{free / 2**30:.1f} GiB are free; name another place with --dir"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=(__doc__ or "").split("\n")[0])
    where = "where; default: on the repository's disk"
    parser.add_argument("--dir", type=Path, default=default_directory(), help=where)
    parser.add_argument(
        "--full", action="store_true", help="20,000 files and 1,024 MiB: it takes minutes"
    )
    parser.add_argument("--files", type=int, help=f"at least so many (default: {TOUR[0]:,})")
    parser.add_argument(
        "--big", type=int, metavar="MIB", help=f"the large file (default: {TOUR[1]})"
    )
    options = parser.parse_args()
    files, big = FULL if options.full else TOUR
    options.files = files if options.files is None else options.files
    options.big = big if options.big is None else options.big
    return options


if __name__ == "__main__":
    sys.exit(main())
