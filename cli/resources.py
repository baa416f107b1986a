"""The parts that the groups dict, queue and secret have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.helping import InOrder
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import yes_option
from volfs_cli.output import confirm, show_time
from volfs_cli.stores import (
    environment,
    given_env_option,
    in_words,
    noting_new,
    store_option,
    store_url,
)

if TYPE_CHECKING:
    from volfs.api.client import Client
    from volfs.api.resource import NamedResources

FACTS = (
    Column("Name", cut="middle"),
    Column("Created at", show_time, rank=1),
    Column("Created by", rank=2),
)


TABLES_HELP = (
    "They are kept in the store or, if VOLFS_TABLES is redis://[user:password@]host[:port][/db], "
    "on that server. VOLFS_TABLES_PASSWORD and VOLFS_TABLES_PASSWORD_FILE give its password."
)


def make_group(name: str, help: str) -> click.Group:
    return store_option(InOrder(name, help=help, no_args_is_help=True))


def verb(
    group: click.Group, name: str, *, bare: bool = False, has_names: bool = True
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of the group, with ``--store``, and with ``-e`` if it ``has_names``. The
    environment is given as ``env``."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        make = click.command(name, no_args_is_help=not bare)
        command = make(store_option(given_env_option(function) if has_names else function))
        group.add_command(command)
        return command

    return decorate


def open_client() -> Client:
    """A client for the store of the running command."""
    from volfs.api.client import Client

    return Client(store_url())


def add_create(
    group: click.Group, find_objects: Callable[[], NamedResources[Any]], noun: str
) -> None:
    """Add ``create NAME``. It prints nothing, and does nothing if the resource exists."""

    def create(name: str, env: str | None) -> None:
        with noting_new(environment()):
            find_objects().create(
                name, allow_existing=True, environment_name=env, client=open_client()
            )

    create.__doc__ = f"Create a {noun} with this name, unless there is one."
    verb(group, "create")(click.argument("name")(create))


def add_list(
    group: click.Group, find_objects: Callable[[], NamedResources[Any]], noun: str
) -> None:
    """Add ``list``, with the columns of ``FACTS``."""

    def list_(env: str | None, as_json: bool) -> None:
        rows = [row_of(handle) for handle in list_handles(find_objects(), env)]
        print_listing(FACTS, rows, as_json=as_json)

    list_.__doc__ = f"List the {noun}s of the environment, newest first."
    verb(group, "list", bare=True)(listing_options(*FACTS)(list_))


def list_handles(objects: NamedResources[Any], env: str | None) -> list[Any]:
    return objects.list(environment_name=env or "", client=open_client())


def row_of(handle: Any) -> tuple[Any, ...]:
    """The values for the columns of ``FACTS``."""
    resource = handle._resource()
    return resource.name, resource.created_ns, resource.created_by


def add_delete(
    group: click.Group, find_objects: Callable[[], NamedResources[Any]], noun: str
) -> None:
    """Add ``delete NAME``, which asks first."""

    def delete(name: str, allow_missing: bool, yes: bool, env: str | None) -> None:
        what = f"the {noun} '{name}'{in_words(environment())}"
        confirm(f"Are you sure you want to irrevocably delete {what}?", yes)
        find_objects().delete(
            name, allow_missing=allow_missing, environment_name=env, client=open_client()
        )

    delete.__doc__ = f"Delete a {noun} with all it contains."
    missing = click.option(
        "--allow-missing", is_flag=True, help=f"Do not fail if there is no such {noun}."
    )
    verb(group, "delete")(click.argument("name")(missing(yes_option(delete))))
