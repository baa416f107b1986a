"""diff tag restore fork: working with the versions of a volume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.files import KINDS, opened_version
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import at_option, verb, version_argument, volume_argument
from volfs_cli.output import (
    as_text,
    note_overridden,
    one_line,
    print_json,
    show_count,
    show_growth,
    show_size,
    show_time,
)
from volfs_cli.stores import in_words, noting_new, opened_volume, parse_other
from volfs_cli.terminal import answer, say

if TYPE_CHECKING:
    from volfs.model.changes import Change
    from volfs.model.entry import Entry
    from volfs.store.contract.refs import Head, VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.commit import Published

_DIFF = (
    Column("Change"),
    Column("Path", cut="middle"),
    Column("Type", rank=2),
    Column("Old size", show_size, rank=3),
    Column("Size", show_size, rank=1),
    Column("Attributes", ", ".join, rank=4),
)
_STAT = (
    Column("Change"),
    Column("Files", show_count),
    Column("Directories", show_count),
    Column("Bytes", show_growth),
)


@verb("diff")
@volume_argument()
@version_argument("old", metavar="A")
@version_argument("new", metavar="[B]", default="head")
@click.option("--stat", is_flag=True, help="Only count files, directories and bytes.")
@listing_options(*_DIFF, *_STAT)
def diff(volume: str, old: str, new: str, stat: bool, as_json: bool) -> None:
    """Show the paths that differ between two versions.

    A means added, D deleted, M modified, T another type of file, U only attributes.
    """
    from volfs.model.changes import iter_changes, tally_changes

    with (
        opened_volume(volume) as (store, record),
        opened_version(store, record, old) as (reader, before),
        opened_version(store, record, new) as (_, after),
    ):
        changes = iter_changes(reader.get_tree, before, after)
        if stat:
            tallies = tally_changes(changes).items()
            rows = [(k.words, t.files, t.directories, t.bytes) for k, t in tallies]
            print_listing(_STAT, rows, as_json=as_json)
        elif as_json:
            print_listing(_DIFF, [_diff_row(change) for change in changes], as_json=True)
        else:
            _print_changes(changes)


def _print_changes(changes: Iterable[Change]) -> None:
    """Print a letter and a path on each line."""
    from volfs.model.names import show_path

    for change in changes:
        answer(f"{change.kind.value} {show_path(change.path)}")


def _diff_row(change: Change) -> tuple[Any, ...]:
    from volfs.model.names import join_path

    return (
        change.kind.words,
        as_text(join_path(change.path)),
        KINDS[change.entry.kind],
        _size(change.old),
        _size(change.new),
        change.attributes,
    )


def _size(entry: Entry | None) -> int | None:
    return None if entry is None or entry.is_directory else entry.size


_TAGS = (
    Column("Tag"),
    Column("Version", show_count),
    Column("Created at", show_time, rank=1),
    Column("Message", cut="end"),
)


@verb("tag")
@volume_argument()
@click.argument("name", required=False)
@version_argument("version", required=False)
@click.option("-d", "--delete", metavar="NAME", help="Take this tag away.")
@click.option("-f", "--force", is_flag=True, help="Move a tag that names another version.")
@listing_options(*_TAGS)
def tag(
    volume: str,
    name: str | None,
    version: str | None,
    delete: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """List tags, or name a version (the newest if none is given). Tagged versions never expire."""
    if delete is not None and (name is not None or force):
        raise click.UsageError("--delete takes the name of a tag and nothing else")
    with opened_volume(volume) as (store, record):
        if delete is not None:
            store.refs.delete_tag(record.id, delete)
            _tell({"deleted": delete}, f"Deleted tag {delete}.", as_json)
        elif name is not None:
            head = _make_tag(store, record, name, version or "head", force)
            said = f"Tagged version {head.version} as {name}."
            _tell({"tag": name, "version": head.version}, said, as_json)
        else:
            rows = [_tag_row(store, record, *item) for item in store.refs.list_tags(record.id)]
            if not as_json:
                rows = [(*row[:3], one_line(row[3])) for row in rows]
            print_listing(_TAGS, rows, as_json=as_json)


def _tell(fact: dict[str, Any], said: str, as_json: bool) -> None:
    if as_json:
        print_json(fact)
    else:
        say(said)


def _make_tag(store: Store, record: VolumeRecord, name: str, version: str, force: bool) -> Head:
    from volfs.errors import AlreadyExistsError
    from volfs.volume.history import create_tag, get_version

    head = get_version(store.refs, record, version)
    try:
        create_tag(store.refs, record, name, head, move=force)
    except AlreadyExistsError as error:
        raise AlreadyExistsError(f"{error}; --force moves it") from None
    return head


def _tag_row(store: Store, record: VolumeRecord, name: str, version: int) -> tuple[Any, ...]:
    from volfs.volume.history import get_version, load_manifest

    manifest = load_manifest(
        store.objects_of(record.id), get_version(store.refs, record, str(version)).manifest
    )
    return name, version, manifest.created_ns, manifest.message


@verb("restore")
@volume_argument()
@version_argument("version")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "-m", "--message", default="", help="A message for the log. Default: what was restored."
)
def restore(volume: str, version: str, paths: tuple[str, ...], message: str) -> None:
    """Make a new version that equals an old one, or has its PATHs.

    A directory is restored with everything below it; what was added to it since is removed.
    """
    from volfs.model.names import parse_path
    from volfs.volume.history import get_version
    from volfs.volume.restore import restore_version

    wanted = [parse_path(path) for path in paths]
    with opened_volume(volume) as (store, record):
        old = get_version(store.refs, record, version)
        published = restore_version(store, record, old, wanted, message=message)
    note_overridden(published)
    say(_describe_restored(old.version, published))


def _describe_restored(old: int, published: Published) -> str:
    newest = published.head.version
    if published.changed:
        return f"Restored version {old} as version {newest}."
    return f"Nothing to restore: version {newest} has all of that already."


@verb("fork")
@volume_argument()
@click.argument("new_name", metavar="NEW|ENV/NEW")
@at_option("The version or tag to begin with; the newest if none is named.")
def fork(volume: str, new_name: str, at: str | None) -> None:
    """Make a new volume from a version of another.

    That takes no time, and copies nothing. The new volume is in the same environment, unless
    ENV/NAME names another.
    """
    from volfs.volume.history import get_version
    from volfs.volume.volumes import fork_volume

    with opened_volume(volume) as (store, record):
        to, name = parse_other(new_name, record.environment)
        head = get_version(store.refs, record, at or "head")
        with noting_new(to):
            fork_volume(store, record, name, head, to)
    said = f"from version {head.version} of '{record.full_name}'"
    say(f"Created Volume '{name}'{in_words(to)} {said}.")
