"""overlays: the uncommitted changes of mounts, and those that dead mounts left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from volfs.model.names import MAIN, split_name
from volfs_cli.all_hosts import HOST, all_hosts_option, forget, list_elsewhere
from volfs_cli.columns import Column
from volfs_cli.helping import InOrder
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.mounts import commit_options, print_commit
from volfs_cli.options import verb
from volfs_cli.output import (
    as_text,
    json_option,
    plural,
    print_json,
    show_age,
    show_count,
    show_size,
)
from volfs_cli.progress import progress_bar
from volfs_cli.status import colour_state
from volfs_cli.stores import env_option, named_environment, opened_store, store_option
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.daemon.sessions.export import Exported
    from volfs.daemon.sessions.inspect import OverlayInfo
    from volfs.sessions.info import SessionInfo
    from volfs.store.contract.store import Store
    from volfs.vfs.replay import Needed

name_argument = click.argument("name")
secret_option = click.option(
    "--secret", metavar="NAME", help="For a bucket: a Secret with its credentials."
)
_OVERLAYS = (
    Column("Name"),
    Column("Volume", rank=4, cut="middle"),
    Column("Mountpoint", cut="middle"),
    Column("State", colour=colour_state),
    Column("Version", show_count, rank=5),
    Column("Age", show_age, rank=2),
    Column("Files", show_count, rank=1),
    Column("Bytes", show_size, rank=3),
    Column("Problem", cut="end", colour=lambda _: "red"),
    Column("Environment", rank=6),
)


@click.group("overlays", cls=InOrder, invoke_without_command=True)
@store_option
@env_option
@all_hosts_option
@listing_options(*_OVERLAYS, HOST)
@click.pass_context
def overlays(context: click.Context, all_hosts: bool, as_json: bool) -> None:
    """List uncommitted changes of mounts, alive and dead.

    Those of dead mounts can be adopted, committed, exported, rebased or discarded. With
    --all-hosts, those of other hosts are listed, too; they can be looked at there alone.
    """
    if context.invoked_subcommand is None:
        _list(all_hosts, as_json)


def _list(all_hosts: bool, as_json: bool) -> None:
    from volfs.daemon.sessions.inspect import list_overlays
    from volfs.errors import NotAStoreError
    from volfs.store.identity import find_host_name
    from volfs_cli.left_buckets import list_rows

    of_buckets, rows = list_rows(), list[tuple[Any, ...]]()
    elsewhere: list[tuple[Any, ...]] = []
    try:
        with opened_store() as store:
            rows = [_as_row(found) for found in list_overlays(store)]
            elsewhere = list_elsewhere(store) if all_hosts else []
    except NotAStoreError:
        if not of_buckets:
            raise
    named = named_environment()
    rows = [row for row in rows if named in (None, row[-1])] + of_buckets
    if not all_hosts:
        print_listing(_OVERLAYS, rows, as_json=as_json)
        return
    here = find_host_name()
    there = [row for row in elsewhere if named in (None, row[-2])]
    print_listing((*_OVERLAYS, HOST), [(*row, here) for row in rows] + there, as_json=as_json)


def _as_row(found: OverlayInfo) -> tuple[Any, ...]:
    session = found.session
    where, name = split_name(found.volume.full_name if found.volume else session.volume)
    return (
        session.name,
        name,
        session.mountpoint,
        found.state,
        found.version,
        round(found.age, 3),
        found.left.files,
        found.left.bytes,
        found.problem,
        where or MAIN,
    )


@contextmanager
def _store_of(name: str) -> Iterator[Store]:
    """The store, for a command on the overlay. UsageError if ``-e`` names another environment than
    the overlay's."""
    with opened_store() as store:
        _check_environment(store, name)
        yield store


def _check_environment(store: Store, name: str) -> None:
    """Raise UsageError if ``-e`` names another environment than the overlay's. An overlay whose
    environment is unknown belongs to ``main``, as in the list."""
    from volfs.daemon.sessions.inspect import describe_session
    from volfs.daemon.sessions.locate import located

    named = named_environment()
    if named is None:
        return
    with located(store, name) as found:
        own = _as_row(describe_session(store, found.session))[-1]
    if own != named:
        raise click.UsageError(f"{name}: it is in environment '{own}', and -e says '{named}'")


@verb("adopt")
@name_argument
@click.argument("mountpoint", type=click.Path())
def adopt(name: str, mountpoint: str) -> None:
    """Mount the uncommitted changes that a dead mount left, at another place."""
    from volfs.daemon.launch import mount
    from volfs.daemon.sessions.commit import make_adoption

    with _store_of(name) as store:
        options = make_adoption(store, name, os.path.abspath(mountpoint))
    mount(options)


@verb("commit")
@name_argument
@secret_option
@commit_options
def commit(name: str, message: str, on_conflict: Any, as_json: bool, secret: str | None) -> None:
    """Commit the changes that a dead mount left as the next version, then remove them.

    The changes that a bucket's mount left are uploaded.
    """
    from volfs_cli.left_buckets import upload_if_bucket

    if upload_if_bucket(name, secret, replaces=on_conflict == "override", as_json=as_json):
        return
    from volfs.daemon.mount_control import to_result
    from volfs.daemon.sessions.commit import commit_overlay
    from volfs.volume.commit import CommitNote

    with _store_of(name) as store:
        published = commit_overlay(store, name, CommitNote(message, on_conflict=on_conflict))
    print_commit(to_result(published), as_json)


@verb("discard")
@name_argument
def discard(name: str) -> None:
    """Drop the changes that a dead mount left. They cannot be brought back."""
    from volfs_cli.left_buckets import discard_if_bucket

    if discard_if_bucket(name):
        return
    from volfs.daemon.sessions.discard import discard_overlay
    from volfs.sessions.info import get_session

    with _store_of(name) as store:
        found = get_session(store, name)
        if not found.alive:
            _say_what_goes(found, store.url)
        discard_overlay(store, name)


def _say_what_goes(session: SessionInfo, store: str) -> None:
    from volfs.model.text import show

    volume = show(session.volume) if session.volume else "an unknown volume"
    where = f" at {show(session.mountpoint)}" if session.mountpoint else ""
    say(f"Discarding what a mount of {volume} left{where}; store {show(store)}.")


@verb("export")
@name_argument
@click.argument("directory", type=click.Path())
@click.option("-f", "--force", is_flag=True, help="Write into a directory that is not empty.")
@secret_option
@json_option
def export(name: str, directory: str, force: bool, as_json: bool, secret: str | None) -> None:
    """Write the files that a dead mount left to a directory, even if their base version is
    gone."""
    from volfs_cli.left_buckets import export_if_bucket

    if export_if_bucket(name, directory, secret, force=force, as_json=as_json):
        return
    from volfs.daemon.sessions.export import export_overlay

    with _store_of(name) as store, progress_bar("export") as report:
        done = export_overlay(store, name, directory, force=force, report=report)
    _print_exported(done, as_json)


def _print_exported(done: Exported, as_json: bool) -> None:
    from volfs.errors import DamagedObjectError
    from volfs.model.names import show_path

    where = show_path(done.directory)
    if as_json:
        print_json(_exported_as_json(done))
    else:
        counts = f"{plural(done.files, 'file')}, {done.directories} changed directories"
        deleted = plural(done.deleted, "deletion")
        say(f"Exported {counts}, {deleted} ({show_size(done.bytes)}) to {where}.")
        for path, missing, problem in done.incomplete:
            say(f"incomplete: {show_path(path)}: {_ranges(missing)}: {problem}", err=True)
        for line in (*done.problems, *done.notes):
            say(f"note: {line}", err=True)
    if not done.is_whole:
        lost = plural(len(done.incomplete), "incomplete file")
        others = plural(len(done.problems), "other problem")
        raise DamagedObjectError(f"{where}: not all is there: {lost}, {others}; see changes.json")


def _ranges(missing: Sequence[tuple[int, int]]) -> str:
    """Ranges of bytes as text. The end of each range is not in it."""
    shown = ", ".join(f"{start}-{end}" for start, end in missing[:8])
    more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
    return f"bytes {shown}{more} are missing"


def _exported_as_json(done: Exported) -> dict[str, Any]:
    return {
        "directory": as_text(done.directory),
        "files": done.files,
        "directories": done.directories,
        "bytes": done.bytes,
        "deleted": done.deleted,
        "incomplete": [
            {"path": as_text(path), "missing": list(map(list, missing)), "problem": problem}
            for path, missing, problem in done.incomplete
        ],
        "problems": done.problems,
        "notes": done.notes,
    }


@verb("rebase")
@name_argument
@click.option(
    "--onto", metavar="VERSION", required=True, help="A number, a tag, or head: stand on this."
)
@click.option(
    "--leave-out",
    is_flag=True,
    help="What needs the lost version stays in an overlay of its own; the rest is rebased.",
)
@json_option
def rebase(name: str, onto: str, leave_out: bool, as_json: bool) -> None:
    """Put the changes that a dead mount left onto another version, if their base version is
    gone."""
    from volfs.daemon.sessions.rebase import NeededError, rebase_overlay

    with _store_of(name) as store:
        try:
            done = rebase_overlay(store, name, onto, leave_out=leave_out)
        except NeededError as error:
            _print_needed(error.needed, as_json)
            raise
    if as_json:
        left_out = list(map(_needed_as_json, done.left_out))
        facts = {"overlay": done.overlay, "version": done.version, "merged": done.merged}
        print_json(facts | {"left_out": left_out, "rest": done.rest or None})
        return
    say(f"Rebased {done.overlay} onto version {done.version}.")
    if done.rest:
        _print_needed(done.left_out, as_json)
        say(f"What was left out is in the overlay {done.rest}.", err=True)


def _print_needed(needed: Sequence[Needed], as_json: bool) -> None:
    from volfs.model.names import show_path

    if as_json:
        print_json({"needed": list(map(_needed_as_json, needed))})
        return
    for path, missing, problem in needed:
        what = f"{_ranges(missing)}: {problem}" if missing else problem
        say(f"needed: {show_path(path)}: {what}", err=True)


def _needed_as_json(needed: Needed) -> dict[str, Any]:
    from volfs.model.names import join_path

    ranges = list(map(list, needed.missing))
    return {"path": as_text(join_path(needed.path)), "missing": ranges, "problem": needed.problem}


for _command in (adopt, commit, export, rebase, discard, forget):
    overlays.add_command(_command)
