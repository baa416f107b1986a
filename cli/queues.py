"""queue list create clear delete peek len."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from volfs.model.text import show
from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import Count, yes_option
from volfs_cli.output import confirm, print_json, row_as_json, show_count
from volfs_cli.resources import (
    FACTS,
    TABLES_HELP,
    add_create,
    add_delete,
    list_handles,
    make_group,
    open_client,
    row_of,
    verb,
)
from volfs_cli.terminal import answer

if TYPE_CHECKING:
    from volfs.api.queue import Queue
    from volfs.api.resource import NamedResources

TOTAL_MAX = 100_000
group = make_group("queue", f"Queues: first in, first out, between processes.\n\n{TABLES_HELP}")
partition_option = click.option("-p", "--partition", metavar="P", help="The partition.")


def _objects() -> NamedResources[Any]:
    from volfs.api.queue import Queue

    return Queue.objects


def _open(name: str, env: str | None) -> Queue:
    from volfs.api.queue import Queue

    return Queue.from_name(name, environment_name=env, client=open_client())


_LIST = (
    *FACTS,
    Column("Partitions", show_count),
    Column("Total size", lambda n: f">={TOTAL_MAX}" if n >= TOTAL_MAX else str(n)),
)


@verb(group, "list", bare=True)
@listing_options(*_LIST)
def list_(env: str | None, as_json: bool) -> None:
    """List the Queues of the environment, newest first."""
    rows = [
        (*row_of(queue), usage.partitions, min(usage.items, TOTAL_MAX))
        for queue in list_handles(_objects(), env)
        for usage in (queue._usage(),)
    ]
    if as_json:
        whole = [row_as_json(_LIST, row) for row in rows]
        print_json(
            [row | {"total_size_truncated": row["total_size"] >= TOTAL_MAX} for row in whole]
        )
    else:
        print_listing(_LIST, rows, as_json=False)


add_create(group, _objects, "Queue")


@verb(group, "clear")
@click.argument("name")
@partition_option
@click.option("-a", "--all", "everything", is_flag=True, help="All partitions.")
@yes_option
def clear(name: str, partition: str | None, everything: bool, yes: bool, env: str | None) -> None:
    """Remove the items of one partition, or of all."""
    question = "Are you sure you want to irrevocably delete the contents of"
    confirm(f"{question} Queue '{name}'?", yes)
    _open(name, env).clear(partition=partition, all=everything)


add_delete(group, _objects, "Queue")


@verb(group, "peek")
@click.argument("name")
@click.argument("n", type=Count(), default=1)
@partition_option
def peek(name: str, n: int, partition: str | None, env: str | None) -> None:
    """Print the next N items (1). They stay in the queue.

    The items are unpickled here, so look only into Queues of people whom you trust.
    """
    for item in islice(_open(name, env).iterate(partition=partition), n):
        answer(show(str(item)))


@verb(group, "len")
@click.argument("name")
@partition_option
@click.option("-t", "--total", is_flag=True, help="Of all partitions.")
def len_(name: str, partition: str | None, total: bool, env: str | None) -> None:
    """Print the number of items in one partition, or in all."""
    answer(_open(name, env).len(partition=partition, total=total))
