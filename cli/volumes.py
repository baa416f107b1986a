"""create list delete rename info: volumes as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from volfs.model.text import show
from volfs_cli.columns import Column
from volfs_cli.listings import has_choice, listing_options, print_listing
from volfs_cli.options import auto_commit_option, verb, volume_argument, yes_option
from volfs_cli.output import (
    confirm,
    json_option,
    print_facts,
    show_count,
    show_seconds,
    show_size,
    show_time,
)
from volfs_cli.stores import (
    environment,
    in_words,
    named_environment,
    noting_new,
    opened_store,
    opened_volume,
    parse_name,
    parse_other,
)
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store


@verb("create")
@click.argument("name")
@click.option(
    "--version",
    type=int,
    default=2,
    show_default=True,
    help="Profile: 1 (up to 500,000 inodes) or 2 (unlimited).",
)
@auto_commit_option("Let mounts of it commit in the background by default (5 if no number).")
def create(name: str, version: int, auto_commit: float | None) -> None:
    """Create an empty volume, and the store if there is none."""
    from volfs.model.names import check_volume_name
    from volfs.model.profile import get_profile
    from volfs.volume.volumes import create_volume

    # This check comes before the store is made.
    where = environment()
    check_volume_name(name)
    get_profile(version)
    with opened_store(create=True) as store, noting_new(where):
        interval = auto_commit or None
        create_volume(store, name, profile=version, auto_commit=interval, environment=where)
    say(f"Created Volume '{name}'{in_words(where)}.")


_LIST = (
    Column("Name", cut="middle"),
    Column("Created at", show_time),
    Column("Created by", rank=1),
    Column("Environment"),
)


@verb("list", bare=True)
@click.option("--all-environments", is_flag=True, help="Of all environments, with a column for it.")
@listing_options(*_LIST)
def list_(all_environments: bool, as_json: bool) -> None:
    """List the volumes of the environment, newest first."""
    from volfs.volume.volumes import is_ephemeral

    if all_environments and named_environment():
        raise click.UsageError("--all-environments and -e ENV exclude each other")
    where = None if all_environments else environment()
    with opened_store() as store:
        known = [record for record in store.refs.list_volumes() if not record.is_network]
    named = [record for record in known if not is_ephemeral(record)]
    rows = [
        (record.name, record.created_ns, record.created_by, record.environment)
        for record in named
        if where in (None, record.environment)
    ]
    if as_json or all_environments or has_choice():
        print_listing(_LIST, rows, as_json=as_json)
    else:
        print_listing(_LIST[:3], [row[:3] for row in rows], as_json=False)


@verb("delete")
@volume_argument("name")
@click.option("--allow-missing", is_flag=True, help="Do not fail if there is no such volume.")
@yes_option
def delete(name: str, allow_missing: bool, yes: bool) -> None:
    """Delete a volume with its whole history. Refused while it is mounted."""
    from volfs.daemon.sessions.delete import delete_with_overlays
    from volfs.errors import NotAStoreError, NotFoundError

    where, name = parse_name(name)
    what = f"the Volume '{name}'{in_words(where)}"
    confirm(f"Are you sure you want to irrevocably delete {what}?", yes)
    try:
        with opened_store() as store:
            delete_with_overlays(store, name, environment=where)
    except (NotFoundError, NotAStoreError):
        if not allow_missing:
            raise


@verb("rename")
@volume_argument("old_name")
@click.argument("new_name", metavar="NEW_NAME|ENV/NEW_NAME")
@yes_option
def rename(old_name: str, new_name: str, yes: bool) -> None:
    """Rename a volume, or move it to another environment.

    Its id, its history and its mounts stay.
    """
    from volfs.volume.volumes import rename_volume

    where, old_name = parse_name(old_name)
    to, new_name = parse_other(new_name, where)
    confirm(
        f"Are you sure you want to rename the Volume '{old_name}'{in_words(where)}? "
        "This may break programs that use it by this name.",
        yes,
    )
    with opened_store() as store, noting_new(to):
        rename_volume(store, old_name, new_name, where, to)


_INFO = (
    Column("Name"),
    Column("Environment"),
    Column("ID"),
    Column("Profile"),
    Column("Version"),
    Column("Created at", show_time),
    Column("Created by"),
    Column("Files", show_count),
    Column("Directories", show_count),
    Column("Bytes", show_size),
    Column("Auto-commit", show_seconds),
    Column("Mounts", lambda mounts: ", ".join(map(show, mounts)) or "none"),
)


@verb("info")
@volume_argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show the facts about a volume: version, size, mounts."""
    with opened_volume(name) as (store, record):
        row = _describe(store, record)
    print_facts(_INFO, row, as_json=as_json)


def _describe(store: Store, record: VolumeRecord) -> tuple[object, ...]:
    from volfs.sessions.info import list_volume_sessions
    from volfs.volume.history import load_manifest

    head = store.refs.get_head(record.id)
    totals = load_manifest(store.objects_of(record.id), head.manifest).snapshot.totals
    sessions = list_volume_sessions(store, record)
    return (
        record.name,
        record.environment,
        record.id,
        record.profile,
        head.version,
        record.created_ns,
        record.created_by,
        totals.files,
        totals.directories,
        totals.bytes,
        record.auto_commit,
        [session.mountpoint for session in sessions if session.alive],
    )
