"""tag restore fork: working with the versions of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from volfs.model.text import show
from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import at_option, verb, version_argument, volume_argument
from volfs_cli.output import (
    note_overridden,
    one_line,
    print_json,
    show_count,
    show_time,
)
from volfs_cli.stores import in_words, noting_new, opened_volume, parse_other
from volfs_cli.targets import get_named_version
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.store.contract.refs import Head, VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.commit import Published

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
    from volfs.errors import AlreadyExistsError, NotFoundError
    from volfs.model.names import is_tag_name
    from volfs.volume.history import create_tag

    try:
        head = get_named_version(store, record, version)
    except NotFoundError as error:
        hint = f"; the tag comes first: volfs tag {record.full_name} {version} {name}"
        raise NotFoundError(f"{error}{'' if is_tag_name(name) else hint}") from None
    try:
        create_tag(store.refs, record, name, head, move=force)
    except AlreadyExistsError as error:
        raise AlreadyExistsError(f"{error}; --force moves it") from None
    return head


def _tag_row(store: Store, record: VolumeRecord, name: str, version: int) -> tuple[Any, ...]:
    from volfs.model.merge_note import split_merge_note
    from volfs.volume.history import get_version, load_manifest

    manifest = load_manifest(
        store.objects_of(record.id), get_version(store.refs, record, str(version)).manifest
    )
    return name, version, manifest.created_ns, split_merge_note(manifest.message)[0]


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
    from volfs.volume.restore import restore_version

    wanted = [parse_path(path) for path in paths]
    with opened_volume(volume) as (store, record):
        old = get_named_version(store, record, version)
        published = restore_version(store, record, old, wanted, message=message)
    note_overridden(published)
    say(_describe_restored(old.version, published, [show(path) for path in paths]))


def _describe_restored(old: int, published: Published, paths: list[str]) -> str:
    newest = published.head.version
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    if published.changed:
        of = f"{shown} of " if shown else ""
        return f"Restored {of}version {old} as version {newest}."
    return f"Nothing to restore: version {newest} has {shown or 'all of that'} already."


@verb("fork")
@volume_argument()
@click.argument("new_name", metavar="NEW|ENV/NEW")
@at_option("The version or tag to begin with; the newest if none is named.")
def fork(volume: str, new_name: str, at: str | None) -> None:
    """Make a new volume from a version of another.

    That takes no time, and copies nothing. The new volume is in the same environment, unless
    ENV/NAME names another.
    """
    from volfs.volume.volumes import fork_volume

    with opened_volume(volume) as (store, record):
        to, name = parse_other(new_name, record.environment)
        head = get_named_version(store, record, at or "head")
        with noting_new(to):
            fork_volume(store, record, name, head, to)
    said = f"from version {head.version} of '{record.full_name}'"
    say(f"Created Volume '{name}'{in_words(to)} {said}.")
