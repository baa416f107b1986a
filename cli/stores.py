"""Which store a command works on, and opening it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.store.location import choose_store
from volfs_cli.terminal import take_logs

if TYPE_CHECKING:
    from volfs.store.base import Store, VolumeRecord

F = TypeVar("F", bound=Callable[..., Any])
_KEY = "volfs.store"


def store_option(command: F) -> F:
    """``--store``, before the verb or after it; the later one counts."""
    option = click.option(
        "--store",
        metavar="PATH",
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="The store: a directory or a URL. Default: VOLFS_STORE, else "
        "/var/lib/volfs for root and $XDG_DATA_HOME/volfs for others.",
    )
    return option(command)


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_KEY] = value


def store_url() -> str:
    """The store of the running command; a directory as an absolute path."""
    named: str | None = click.get_current_context().meta.get(_KEY)
    return choose_store(named)


@contextmanager
def opened_store(*, create: bool = False) -> Iterator[Store]:
    from volfs.store.registry import open_store

    take_logs()
    store = open_store(store_url(), create=create)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_volume(name: str) -> Iterator[tuple[Store, VolumeRecord]]:
    """The store, and the volume of that name."""
    with opened_store() as store:
        yield store, store.get_volume(name)


def complete_version(
    context: click.Context, argument: click.Parameter, incomplete: str
) -> list[str]:
    """Tags and the newest versions of the volume that was named before; none on any error."""
    from itertools import islice

    # Where an option lacks its value, as one to be completed does, no argument is parsed.
    name = context.params.get("volume") or "".join(context.args[:1])
    try:
        with context.scope(cleanup=False), opened_volume(name) as (store, record):
            tags = [tag.name for tag in store.list_tags(record.id)]
            newest = [str(head.version) for head in islice(store.iter_versions(record.id), 20)]
    except Exception:  # noqa: BLE001 - as below
        return []
    return [word for word in ("head", *tags, *newest) if word.startswith(incomplete)]


def complete_volume(
    context: click.Context, argument: click.Parameter, incomplete: str
) -> list[str]:
    """Names of volumes that begin so; none where the store cannot be read."""
    try:
        with context.scope(cleanup=False), opened_store() as store:
            names = [record.name for record in store.list_volumes()]
    except Exception:  # noqa: BLE001 - a completion must not print errors into a prompt
        return []
    return sorted(name for name in names if name.startswith(incomplete))
