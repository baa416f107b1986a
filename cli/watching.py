"""top: what mounts do, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.listings import print_listing
from volfs_cli.options import Seconds
from volfs_cli.output import (
    json_option,
    print_json,
    show_byte_rate,
    show_count,
    show_duration,
    show_rate,
    show_share,
    show_size,
)
from volfs_cli.stores import store_option
from volfs_cli.terminal import take_logs

if TYPE_CHECKING:
    from rich.console import Group

    from volfs.metrics.rates import Look, MountRate

INTERVAL = 2.0
OPERATIONS = 12
SORTS = ("busy", "requests", "dirty", "name")


MOUNT_COLUMNS = (
    Column("Volume", cut="middle"),
    Column("Mountpoint", cut="middle"),
    Column("Req/s", show_rate),
    Column("P99", show_duration),
    Column("Read/s", show_byte_rate),
    Column("Write/s", show_byte_rate),
    Column("Dirty", show_size),
    Column("Cached", show_share, rank=1),
    Column("Err/s", show_rate, rank=2),
    Column("Commits", show_count, rank=3),
    Column("Open", show_count, rank=4),
    Column("State", lambda state: "" if state == "ok" else state, colour=lambda _: "red"),
)
OPERATION_COLUMNS = (
    Column("Operation"),
    Column("Volume", cut="middle"),
    Column("Req/s", show_rate),
    Column("Mean", show_duration),
    Column("P99", show_duration),
    Column("Busy", show_share),
    Column("Err/s", show_rate),
)


@click.command("top")
@store_option
@click.option("--once", is_flag=True, help="Print one interval, and end.")
@click.option(
    "--interval", type=Seconds(), default=INTERVAL, show_default=True, help="Seconds between looks."
)
@click.option("--sort", type=click.Choice(SORTS), default="busy", show_default=True)
@json_option
def top(once: bool, interval: float, sort: str, as_json: bool) -> None:
    """Watch what mounts do: requests, bytes, times, changes.

    Rates are those of the last interval. P99 is a time below which 99 of 100 requests stayed, and
    busy the share of the time that an operation took. Press q or Ctrl-C to end.
    """
    take_logs()
    interval = max(interval, 0.1)
    if as_json:
        print_json([_as_json(rate) for rate in _find_rates(interval, sort)])
    elif once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _print_once(_find_rates(interval, sort))
    else:
        _watch(interval, sort)


def _look() -> Look:
    from volfs.metrics.rates import Look
    from volfs.metrics.seen_mounts import look

    return Look(time.monotonic(), look())


def _find_rates(interval: float, sort: str) -> list[MountRate]:
    import select

    from volfs.metrics.rates import compare

    before = _look()
    select.select([], [], [], interval)
    return _sort(compare(before, _look()), sort)


def _sort(rates: list[MountRate], sort: str) -> list[MountRate]:
    keys = {
        "busy": lambda rate: (-sum(one.busy for one in rate.operations), rate.mountpoint),
        "requests": lambda rate: (-rate.requests_per_second, rate.mountpoint),
        "dirty": lambda rate: (-rate.dirty_bytes, rate.mountpoint),
        "name": lambda rate: (rate.volume, rate.mountpoint),
    }
    return sorted(rates, key=keys[sort])


def _as_json(rate: MountRate) -> dict[str, Any]:
    return rate._asdict() | {"operations": [one._asdict() for one in rate.operations]}


def _print_once(rates: list[MountRate]) -> None:
    print_listing(MOUNT_COLUMNS, [_mount_row(rate) for rate in rates], as_json=False)


def _mount_row(rate: MountRate) -> tuple[Any, ...]:
    return (
        rate.volume,
        rate.mountpoint,
        rate.requests_per_second,
        rate.p99_us,
        rate.read_bytes_per_second,
        rate.written_bytes_per_second,
        rate.dirty_bytes,
        rate.cache_share,
        rate.errors_per_second,
        rate.commits,
        rate.open_files,
        rate.state,
    )


# --- on a terminal -----------------------------------------------------------


def _watch(interval: float, sort: str) -> None:
    """Show mounts until somebody presses q."""
    from rich.console import Console
    from rich.live import Live

    from volfs.metrics.rates import compare

    console = Console()
    before = None
    with _single_keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            now = _look()
            rates = _sort(compare(before, now), sort)
            live.update(_draw(rates, console, interval, is_first=before is None), refresh=True)
            before = now
            key = _wait_for_key(interval if len(rates) else 1.0)
            if key in ("q", "Q", "\x03", "\x1b"):
                return
            sort = {"b": "busy", "r": "requests", "d": "dirty", "n": "name"}.get(key, sort)


@contextmanager
def _single_keys() -> Iterator[None]:
    """Get each key at once, and print none. Ctrl-C stays what it is."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _wait_for_key(seconds: float) -> str:
    import os
    import select

    if select.select([sys.stdin], [], [], seconds)[0]:
        return os.read(sys.stdin.fileno(), 16)[:1].decode(errors="replace") or "q"
    return ""


def _draw(rates: list[MountRate], console: Any, interval: float, *, is_first: bool) -> Group:
    from rich.console import Group
    from rich.text import Text

    from volfs_cli.listings import make_table

    requests = sum(rate.requests_per_second for rate in rates)
    dirty = sum(rate.dirty_bytes for rate in rates)
    total = (
        f"{time.strftime('%H:%M:%S')}  mounts {len(rates)}  requests {show_rate(requests)}/s  "
        f"uncommitted {show_size(dirty)}"
    )
    lines = [Text(total, "bold"), Text("")]
    lines += make_table(MOUNT_COLUMNS, [_mount_row(rate) for rate in rates], console.width)
    room = max(0, console.height - len(lines) - 4)
    lines = lines[: console.height - 3]
    operations = [
        (one.operation, rate.volume, one.per_second, one.mean_us, one.p99_us, one.busy,
         one.errors_per_second)
        for rate in rates
        for one in rate.operations
    ]  # fmt: skip
    operations = sorted(operations, key=lambda row: -row[5])[: min(OPERATIONS, room)]
    if operations:
        lines += [Text(""), *make_table(OPERATION_COLUMNS, operations, console.width)]
    elif is_first:
        lines += [Text(""), Text("The first rates come after one interval.", "dim")]
    elif not rates:
        lines += [Text("No mounts.", "dim")]
    lines += [Text("")] * (console.height - len(lines) - 1)
    keys = f"every {interval:g} s   sort: b busy  r requests  d dirty  n name   q quit"
    return Group(*lines, Text(keys[: console.width], "dim", no_wrap=True))
