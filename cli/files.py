"""ls get put cp mv rm: files in the committed state, without a mount.

Each command that changes something makes one version.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from volfs.model.text import cut_stored, show
from volfs_cli.columns import Column
from volfs_cli.listings import has_choice, listing_options, print_listing
from volfs_cli.options import at_option, verb, volume_argument
from volfs_cli.output import (
    as_text,
    note_overridden,
    print_paths,
    show_count,
    show_size,
    show_time,
)
from volfs_cli.progress import progress_bar
from volfs_cli.stores import opened_volume
from volfs_cli.targets import get_named_version
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.model.entry import Entry
    from volfs.model.manifest import Snapshot
    from volfs.model.names import Path
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.edit import Edit
    from volfs.volume.version_reader import Reader

KINDS = {
    1: "file",
    2: "dir",
    3: "link",
    4: "fifo",
    5: "socket",
    6: "character device",
    7: "block device",
}
FILES = (
    Column("Filename", cut="middle"),
    Column("Type", rank=2),
    Column("Created/Modified", show_time, rank=1),
    Column("Size", show_size),
)
_LONG = (
    Column("Mode", rank=2),
    Column("Links", show_count, rank=5),
    Column("Owner", rank=3),
    Column("Size", show_size, rank=1),
    Column("Created/Modified", show_time, rank=4),
    Column("Filename", cut="middle"),
    Column("Target", cut="middle"),
)
_SYMLINK = 3
force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")


@verb("ls")
@volume_argument()
@click.argument("path", default="/")
@at_option("A version or tag; the newest if none is named.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Also modes, owners, links, targets.")
@listing_options(*FILES, *_LONG)
def ls(volume: str, path: str, at: str | None, is_long: bool, as_json: bool) -> None:
    """List a directory of the newest version, or name one file."""
    from volfs.model.names import join_path, parse_path

    with opened_volume(volume) as (store, record):
        found = _list(store, record, at, parse_path(path))
    if not (as_json or is_long or has_choice() or sys.stdout.isatty()):
        print_paths([join_path(place) for place, _ in found])
        return
    print_listing(
        _LONG if is_long else FILES,
        [(_as_long_row if is_long else _as_row)(place, entry) for place, entry in found],
        as_json=as_json,
        title=f"Directory listing of '{show(path)}' in '{volume}'",
    )


def _as_row(path: Path, entry: Entry) -> tuple[Any, ...]:
    from volfs.model.names import join_path

    return as_text(join_path(path)), KINDS[entry.kind], entry.mtime_ns, _size(entry)


def _as_long_row(path: Path, entry: Entry) -> tuple[Any, ...]:
    """The values of ``_LONG``. Owners are numbers, because a volume's users are those of other
    machines."""
    import stat

    from volfs.model.entry import TYPE_BITS

    name, _, mtime_ns, size = _as_row(path, entry)
    mode = stat.filemode(TYPE_BITS[entry.kind] | entry.mode)
    is_link = entry.kind == _SYMLINK
    target = as_text(entry.inline) if is_link else ""
    links = entry.subdirectories + 2 if entry.is_directory else entry.links
    return mode, links, f"{entry.uid}:{entry.gid}", size, mtime_ns, name, target


def _list(
    store: Store, record: VolumeRecord, at: str | None, path: Path
) -> list[tuple[Path, Entry]]:
    from volfs.model.tree import iter_entries

    with opened_version(store, record, at) as (reader, snapshot):
        entry = reader.get_path(snapshot, path)
        if not entry.is_directory:
            return [(path, entry)]
        children = iter_entries(reader.get_tree, entry.tree)
        return [((*path, child.name), reader.resolve(snapshot, child)) for child in children]


@contextmanager
def opened_version(
    store: Store, record: VolumeRecord, at: str | None
) -> Iterator[tuple[Reader, Snapshot]]:
    """Open the version that a user named. Nothing of it is removed while the block runs."""
    from volfs.volume.leases import held_version
    from volfs.volume.version_reader import Reader

    reader = Reader(store.objects_of(record.id).load_object)
    with held_version(
        store, record, lambda: get_named_version(store, record, at or "head")
    ) as head:
        yield reader, reader.load_manifest(head.manifest).snapshot


def _size(entry: Entry) -> int:
    return entry.content_bytes if entry.is_directory else entry.size


@verb("get")
@volume_argument()
@click.argument("remote_path")
@click.argument("local_destination", default=".", type=click.Path())
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("-p", "--preserve", is_flag=True, help="Keep owners, xattrs, ACLs, hard links.")
@click.option("--tar", "as_tar", is_flag=True, help="Write a tar archive, with all attributes.")
@at_option("A version or tag; the newest if none is named.")
def get(
    volume: str,
    remote_path: str,
    local_destination: str,
    force: bool,
    preserve: bool,
    as_tar: bool,
    at: str | None,
) -> None:
    """Download a file, or a directory with everything below it.

    If the destination is '-', the bytes go to stdout. With --tar the destination is a file, or
    '-': volfs get data / - --tar | tar x.
    """
    from volfs.model.names import parse_path

    path = parse_path(remote_path)
    with (
        opened_volume(volume) as (store, record),
        opened_version(store, record, at) as (_, snapshot),
    ):
        if as_tar:
            download_tar(store, record, snapshot, path, local_destination, force)
        else:
            download(store, record, snapshot, path, local_destination, force, preserve)


def download_tar(
    store: Store,
    record: VolumeRecord,
    snapshot: Snapshot,
    path: Path,
    destination: str,
    force: bool,
) -> None:
    """Write an archive to a file, or to stdout for ``-``."""
    from volfs.volume.get_tar import get_tar
    from volfs.volume.output import opened_descriptor, opened_new
    from volfs.volume.store_places import StorePlaces

    target = os.fsencode("/dev/stdout" if destination == "-" else destination)
    sys.stdout.flush()
    with opened_descriptor(target) as out, progress_bar("Downloading") as report:
        if out is not None:
            note_skipped(get_tar(store, record, snapshot, path, out, report))
            return
        StorePlaces(store).check_path(target)
        with opened_new(target, force=force) as file:
            note_skipped(get_tar(store, record, snapshot, path, file, report))


def download(
    store: Store,
    record: VolumeRecord,
    snapshot: Snapshot,
    path: Path,
    destination: str,
    force: bool,
    preserve: bool = False,
) -> None:
    """Download to a local path, to stdout for ``-``, or to the descriptor that a path such as
    /dev/fd/3 means."""
    from volfs.volume.output import opened_descriptor, write_content

    name = "/dev/stdout" if destination == "-" else destination
    sys.stdout.flush()
    with opened_descriptor(os.fsencode(name)) as out:
        if out is None:
            _get(store, record, snapshot, path, destination, force, preserve)
        else:
            write_content(store.objects_of(record.id), snapshot, path, out)


def _get(
    store: Store,
    record: VolumeRecord,
    snapshot: Snapshot,
    path: Path,
    destination: str,
    force: bool,
    preserve: bool,
) -> None:
    from volfs.volume.get import get_to_local

    with progress_bar("Downloading") as report:
        result = get_to_local(
            store,
            record,
            snapshot,
            path,
            destination,
            force=force,
            preserve=preserve,
            report=report,
        )
    note_skipped(result.skipped)
    for note in result.notes:
        say(f"volfs: note: {note}", err=True)
    say("Finished downloading files to local!", err=True)


class TargetExistsError(click.ClickException):
    """A usage error, as on Modal. Its message does not refer to --help, which would not explain
    it."""

    exit_code = 2


def get_stdin() -> BinaryIO:
    """The standard input. UsageError if the caller has closed it."""
    from volfs.system.descriptors import can_read

    if not can_read(sys.stdin.fileno()):
        raise click.UsageError("stdin is closed")
    return sys.stdin.buffer


def choose_remote(local_path: str, remote_path: str) -> str:
    """The path of an upload. A path that ends in ``/`` is the directory for it.

    UsageError for stdin, which has no name to use there.
    """
    if not remote_path.endswith("/"):
        return remote_path
    if local_path == "-":
        raise click.UsageError("what is read from stdin needs a path of its own, not a directory")
    return remote_path + os.path.basename(local_path)


def note_skipped(skipped: list[str]) -> None:
    for path in skipped:
        note = f"volfs: note: {show(path)}: not a file, directory or symlink; skipped"
        say(note, err=True)


@verb("cp")
@volume_argument()
@click.argument("paths", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Copy directories recursively.")
def cp(volume: str, paths: tuple[str, ...], recursive: bool) -> None:
    """Copy within a volume. PATHS are the sources, and the last one is the destination."""
    if len(paths) < 2:
        raise click.UsageError("cp needs a source and a destination")
    *sources, last = paths
    with opened_volume(volume) as (store, record):
        from volfs.model.names import parse_path
        from volfs.volume.edit import Edit

        with Edit(store, record) as edit:
            for source in map(parse_path, sources):
                target = edit.choose_target(source, last, several=len(sources) > 1)
                edit.copy(source, target, recursive=recursive)
            _commit(edit, f"cp {' '.join(paths)}")


@verb("mv")
@volume_argument()
@click.argument("source")
@click.argument("destination")
def mv(volume: str, source: str, destination: str) -> None:
    """Move or rename a file or a directory within a volume."""
    from volfs.model.names import parse_path
    from volfs.volume.edit import Edit

    with opened_volume(volume) as (store, record), Edit(store, record) as edit:
        path = parse_path(source)
        edit.move(path, edit.choose_target(path, destination))
        _commit(edit, f"mv {source} {destination}")


@verb("rm")
@volume_argument()
@click.argument("remote_path")
@click.option("-r", "--recursive", is_flag=True, help="Delete directory recursively.")
def rm(volume: str, remote_path: str, recursive: bool) -> None:
    """Delete a file, or with -r a directory with all below it.

    Older versions keep it.
    """
    from volfs.model.names import parse_path
    from volfs.volume.edit import Edit

    with opened_volume(volume) as (store, record), Edit(store, record) as edit:
        edit.remove(parse_path(remote_path), recursive=recursive)
        _commit(edit, f"rm {remote_path}")
    say(f"{show(remote_path)} was deleted successfully!")


def _commit(edit: Edit, message: str) -> None:
    from volfs.model.manifest import MESSAGE_MAX
    from volfs.volume.commit import CommitNote

    note_overridden(edit.commit(CommitNote(message=cut_stored(message, MESSAGE_MAX))))
