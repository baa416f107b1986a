"""dict list create clear delete get items."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from volfs.model.text import show_line
from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import Count, yes_option
from volfs_cli.output import confirm, print_json
from volfs_cli.resources import (
    TABLES_HELP,
    add_create,
    add_delete,
    add_list,
    make_group,
    open_client,
    verb,
)
from volfs_cli.terminal import write_text

if TYPE_CHECKING:
    from volfs.api.dict import Dict
    from volfs.api.resource import NamedResources

SHOWN_MAX = 80
_ITEMS = (Column("Key", cut="end"), Column("Value", cut="end"))
_AS_REPR = (Column("Key", show_line, cut="end"), Column("Value", show_line, cut="end"))
group = make_group(
    "dict", f"Dicts: maps of keys to values that all processes share.\n\n{TABLES_HELP}"
)


def _objects() -> NamedResources[Any]:
    from volfs.api.dict import Dict

    return Dict.objects


def _open(name: str, env: str | None) -> Dict:
    from volfs.api.dict import Dict

    return Dict.from_name(name, environment_name=env, client=open_client())


add_list(group, _objects, "Dict")
add_create(group, _objects, "Dict")


@verb(group, "clear")
@click.argument("name")
@yes_option
def clear(name: str, yes: bool, env: str | None) -> None:
    """Remove all entries of a Dict."""
    question = "Are you sure you want to irrevocably delete the contents of"
    confirm(f"{question} Dict '{name}'?", yes)
    _open(name, env).clear()


add_delete(group, _objects, "Dict")


@verb(group, "get")
@click.argument("name")
@click.argument("key")
def get(name: str, key: str, env: str | None) -> None:
    """Print the value of a key, which is a string. Print None if there is no entry."""
    write_text(str(_open(name, env).get(key)))


@verb(group, "items")
@click.argument("name")
@click.argument("n", type=Count(), default=20)
@click.option("-a", "--all", "everything", is_flag=True, help="All entries, however many.")
@click.option("-r", "--repr", "as_repr", is_flag=True, help="Show repr() of keys and values.")
@listing_options(*_ITEMS)
def items(
    name: str, n: int, everything: bool, as_repr: bool, as_json: bool, env: str | None
) -> None:
    """Print up to N entries (20), in no order. With --json print all; values that JSON cannot hold
    appear as repr().

    The values are unpickled here, so look only into Dicts of people whom you trust.
    """
    pairs = _open(name, env).items()
    if as_json:
        whole = [{"key": _as_json(key), "value": _as_json(value)} for key, value in pairs]
        print_json(whole)
        return
    rows = [
        (_cut(key, as_repr), _cut(value, as_repr))
        for key, value in islice(pairs, None if everything else n)
    ]
    if next(pairs, None) is not None:
        rows.append(("...", "..."))
    print_listing(_AS_REPR if as_repr else _ITEMS, rows, as_json=False)


def _cut(value: Any, as_repr: bool) -> str:
    text = repr(value) if as_repr else str(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def _as_json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value
