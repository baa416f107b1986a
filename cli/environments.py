"""environment and config: the environments that divide names, and the default one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import yes_option
from volfs_cli.output import (
    confirm,
    json_option,
    plural,
    print_json,
    show_count,
    show_flag,
    show_time,
)
from volfs_cli.resources import make_group, open_client, verb
from volfs_cli.stores import complete_environment, environment
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.api.environments import EnvironmentContents

group = make_group("environment", "Environments: each has names of its own.")
name_argument = click.argument("name", shell_complete=complete_environment)
_LIST = (
    Column("Name", cut="middle"),
    Column("Active", show_flag),
    Column("Created at", lambda ns: show_time(ns) if ns else "-", rank=2),
    Column("Created by", rank=3),
    Column("Volumes", show_count),
    Column("Network file systems", show_count, rank=4),
    Column("Dicts", show_count, rank=1),
    Column("Queues", show_count, rank=1),
    Column("Secrets", show_count, rank=1),
)


@verb(group, "list", bare=True, has_names=False)
@listing_options(*_LIST)
def list_(as_json: bool) -> None:
    """List the environments of the store with their contents. The active one is the one in
    force."""
    from volfs.api.environments import KnownEnvironments

    active = environment()
    with closing(open_client()) as client:
        rows = [_as_row(found, active) for found in KnownEnvironments(client).list_all()]
    if as_json:
        rows = [(*row[:2], _json_time(row[2]), *row[3:]) for row in rows]
    print_listing(_LIST, rows, as_json=as_json)


def _as_row(found: EnvironmentContents, active: str) -> tuple[Any, ...]:
    from volfs.api.environments import KINDS

    counts = (found.contents[kind] for kind in KINDS)
    return (found.name, found.name == active, found.created_ns, found.created_by, *counts)


def _json_time(nanoseconds: int | None) -> str | None:
    from volfs_cli.output import json_time

    return None if nanoseconds is None else json_time(nanoseconds)


@verb(group, "create", has_names=False)
@click.argument("name")
def create(name: str) -> None:
    """Make an environment, and the store if there is none."""
    from volfs.api.environments import KnownEnvironments

    with closing(open_client()) as client:
        KnownEnvironments(client).create(name)
    say(f"Environment created: {name}")


@verb(group, "update", has_names=False)
@name_argument
@click.option("--set-name", metavar="NEW", required=True, help="Its new name.")
def update(name: str, set_name: str) -> None:
    """Rename an environment, with everything in it. Mounts and ids stay."""
    from volfs.api.environments import KnownEnvironments

    with closing(open_client()) as client:
        KnownEnvironments(client).rename(name, set_name)
    say("Environment updated")


@verb(group, "delete", has_names=False)
@name_argument
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete an environment with everything in it, for ever.

    Refused while a volume in it is mounted, or has changes that are not committed.
    """
    from volfs.api.environments import KnownEnvironments

    with closing(open_client()) as client:
        known = KnownEnvironments(client)
        found = known.get(name)
        if found.contents.total():
            confirm(
                f"Are you sure you want to irrevocably delete the environment '{name}' and all "
                f"that is in it: {_describe(found)}?",
                yes,
            )
        known.delete(name)
    say(f"Environment deleted: {name}")


def _describe(found: EnvironmentContents) -> str:
    counts = [(found.contents[kind], kind.noun) for kind in found.contents]
    return ", ".join(plural(count, noun) for count, noun in sorted(counts) if count)


# --- config -----------------------------------------------------------------

config = make_group("config", "What is in force where no argument and no variable says it.")


@config.command("set-environment", no_args_is_help=True)
@name_argument
def set_environment(name: str) -> None:
    """Set the environment that names belong to if neither -e nor a variable names one."""
    from volfs.store.location import save_environment

    say(f"Default environment set to {name} in {save_environment(name)}")


@config.command("show")
@json_option
def show(as_json: bool) -> None:
    """Show the store and the environment in force, and the file of the configuration."""
    from volfs.store.location import config_file
    from volfs_cli.stores import store_url

    file = config_file()
    facts = {
        "store": store_url(),
        "environment": environment(),
        "file": str(file) if file else None,
    }
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            say(f"{key}: {value or '-'}")
