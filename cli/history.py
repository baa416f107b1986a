"""log: the history of a volume."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import Count, verb, volume_argument
from volfs_cli.output import one_line, show_count, show_size, show_time
from volfs_cli.stores import opened_volume

if TYPE_CHECKING:
    from volfs.volume.history import Folded

_LOG = (
    Column("Version", show_count),
    Column("Created at", show_time),
    Column("Message", cut="end"),
    Column("Author", rank=3, cut="end"),
    Column("Files", show_count, rank=5),
    Column("Directories", show_count, rank=6),
    Column("Bytes", show_size, rank=4),
    Column("Auto", lambda auto: "auto" if auto else "", rank=2),
    Column("Folded", lambda hidden: f"+{hidden}" if hidden else "", rank=1),
    Column("Tags", ", ".join, cut="end", colour=lambda _: "cyan"),
)


@verb("log")
@volume_argument()
@click.option("--all", "everything", is_flag=True, help="Show each background commit.")
@click.option("--limit", type=Count(), help="Show at most so many.")
@listing_options(*_LOG)
def log(volume: str, everything: bool, limit: int | None, as_json: bool) -> None:
    """Show the versions of a volume, newest first.

    In a row of background commits only the newest and the tagged ones are shown, with the number
    of hidden ones before them.
    """
    from volfs.volume.history import Folded, fold_automatic, iter_history, list_tags_by_version

    with opened_volume(volume) as (store, record):
        versions, tags = iter_history(store, record), list_tags_by_version(store.refs, record)
        shown = (Folded(v, 0) for v in versions) if everything else fold_automatic(versions, tags)
        rows = [(*_log_row(item), tags.get(item.info.version, [])) for item in islice(shown, limit)]
    if not as_json:
        rows = [(row[0], row[1], one_line(row[2]), *row[3:]) for row in rows]
    print_listing(_LOG, rows, as_json=as_json)


def _log_row(item: Folded) -> tuple[Any, ...]:
    info = item.info
    return (
        info.version,
        info.created_ns,
        info.message,
        info.author,
        info.files,
        info.directories,
        info.bytes,
        info.auto,
        item.hidden,
    )
