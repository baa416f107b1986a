"""cache: the copies of buckets' data on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from volfs_cli.columns import Column
from volfs_cli.helping import InOrder
from volfs_cli.output import (
    json_option,
    plural,
    print_facts,
    print_json,
    show_count,
    show_flag,
    show_size,
)
from volfs_cli.terminal import say

_FACTS = (
    Column("Directory"),
    Column("Used", show_size),
    Column("Limit", show_size),
    Column("Files", show_count),
    Column("Usable", show_flag),
    Column("Problem", lambda problem: problem or ""),
)


@click.group("cache", cls=InOrder, no_args_is_help=True)
def group() -> None:
    """The disk cache of buckets: copies that may be deleted."""


@group.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show the place of the cache, its size, and its largest size."""
    from volfs.buckets.cache.cache_account import Usage
    from volfs.buckets.cache.disk_cache import DiskCache
    from volfs.errors import LocalFileError

    cache, usage, problem = DiskCache(), Usage(0, 0), ""
    try:
        usage = cache.measure()
    except LocalFileError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{cache.place.path}: {error.strerror}"
    usable = not problem and cache.limit > 0
    row = (str(cache.place.path), usage.size, cache.limit, usage.files, usable, problem or None)
    print_facts(_FACTS, row, as_json=as_json)


@group.command("clear")
@json_option
def clear(as_json: bool) -> None:
    """Delete everything in the cache. Mounts go on, and fetch again what they need."""
    from volfs.buckets.cache.disk_cache import DiskCache

    cache = DiskCache()
    with _naming(str(cache.place.path)):
        gone = cache.clear()
    if as_json:
        print_json({"files": gone.files, "size": gone.size})
    else:
        say(f"deleted {plural(gone.files, 'file')}, {show_size(gone.size)}")


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Let the system's errors name the cache."""
    from volfs.errors import LocalFileError

    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise LocalFileError(f"{path}: {said}") from error
