"""nfs list create delete ls get put rm: network file systems."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volfs.model.text import show
from volfs_cli.columns import Column
from volfs_cli.files import (
    FILES,
    choose_remote,
    download,
    get_stdin,
    note_skipped,
    opened_version,
)
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import volume_argument, yes_option
from volfs_cli.output import confirm, print_paths, show_time
from volfs_cli.progress import progress_bar
from volfs_cli.resources import make_group, open_client, verb
from volfs_cli.stores import environment, in_words, noting_new, opened_store, store_url
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.api.network_file_system import NetworkFileSystem
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.listing import FileEntry

group = make_group("nfs", "Network file systems: files that all mounts share at once.")
_LIST = (
    Column("Name", cut="middle"),
    Column("Location", cut="middle", rank=2),
    Column("Created at", show_time, rank=1),
)
_TYPES = {"DIRECTORY": "dir", "SYMLINK": "link", "UNSPECIFIED": "device"}


def _open(name: str, env: str | None) -> NetworkFileSystem:
    from volfs.api.network_file_system import NetworkFileSystem

    return NetworkFileSystem.from_name(name, environment_name=env, client=open_client())


@contextmanager
def _opened(name: str, env: str | None) -> Iterator[tuple[Store, VolumeRecord]]:
    """Open the volume behind a network file system. NotFoundError; InvalidError for a Volume's
    name."""
    _open(name, env).info()
    with opened_store() as store:
        yield store, store.refs.get_volume(name, environment())


@verb(group, "list", bare=True)
@listing_options(*_LIST)
def list_(env: str | None, as_json: bool) -> None:
    """List network file systems, newest first."""
    from volfs.api.known_volumes import KnownVolumes
    from volfs.errors import NotAStoreError
    from volfs.services.resources import NETWORK

    found = []
    with suppress(NotAStoreError):
        found = KnownVolumes(open_client(), kind=NETWORK).list_all(environment())
    rows = [(resource.name, store_url(), resource.created_ns) for resource in found]
    print_listing(
        _LIST, rows, as_json=as_json, title=f"Network file systems{in_words(environment())}"
    )


@verb(group, "create")
@click.argument("name")
def create(name: str, env: str | None) -> None:
    """Create an empty network file system."""
    from volfs.api.network_file_system import NetworkFileSystem

    with noting_new(environment()):
        NetworkFileSystem.create_deployed(name, open_client(), env)
    say(f"Created NetworkFileSystem '{name}'{in_words(environment())}.")


@verb(group, "delete")
@volume_argument("name")
@yes_option
def delete(name: str, yes: bool, env: str | None) -> None:
    """Delete a network file system with its whole history. Refused while it is mounted."""
    from volfs.api.network_file_system import NetworkFileSystem

    _open(name, env).info()
    what = f"the NetworkFileSystem '{name}'{in_words(environment())}"
    confirm(f"Are you sure you want to irrevocably delete {what}?", yes)
    NetworkFileSystem.delete(name, open_client(), env)


# --- files ------------------------------------------------------------------


@verb(group, "ls")
@volume_argument()
@click.argument("path", default="/")
@listing_options(*FILES)
def ls(volume: str, path: str, env: str | None, as_json: bool) -> None:
    """List a directory, one file, or the matches of a pattern ('*', '**', '?', '[…]')."""
    found = _open(volume, env).listdir(path)
    if not as_json and not sys.stdout.isatty():
        print_paths([os.fsencode(entry.path) for entry in found])
        return
    rows = [(entry.path, _show_type(entry), entry.mtime * 10**9, entry.size) for entry in found]
    title = f"Directory listing of '{show(path)}' in '{volume}'"
    print_listing(FILES, rows, as_json=as_json, title=title)


def _show_type(entry: FileEntry) -> str:
    return _TYPES.get(entry.type.name, entry.type.name.lower())


@verb(group, "get")
@volume_argument()
@click.argument("remote_path")
@click.argument("local_destination", default=".", type=click.Path())
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def get(
    volume: str, remote_path: str, local_destination: str, force: bool, env: str | None
) -> None:
    """Download a file, a directory, or the files that a pattern matches; to stdout with '-'.

    The files of a pattern keep their paths below the destination.
    """
    from volfs.model.names import parse_path

    places = _choose(volume, remote_path, local_destination, env)
    with (
        _opened(volume, env) as (store, record),
        opened_version(store, record, None) as (_, snapshot),
    ):
        for path, destination in places:
            download(store, record, snapshot, parse_path(path), destination, force)


def _choose(volume: str, remote: str, local: str, env: str | None) -> list[tuple[str, str]]:
    """The paths to download, and the local path of each."""
    if not {*"*?["} & {*remote}:
        return [(remote, local)]
    matched = _open(volume, env).listdir(remote)
    files = [entry.path for entry in matched if entry.type.name == "FILE"]
    return [(path, local if local == "-" else f"{local}{path}") for path in files]


@verb(group, "put")
@volume_argument()
@click.argument("local_path", type=click.Path())
@click.argument("remote_path", default="/")
def put(volume: str, local_path: str, remote_path: str, env: str | None) -> None:
    """Upload a file, or the contents of a directory. Files that exist are overwritten.

    If REMOTE_PATH ends in '/', it is the directory to put the file into.
    """
    from volfs.model.names import parse_path
    from volfs.volume.commit import CommitNote
    from volfs.volume.put import put_local, put_stream

    remote = choose_remote(local_path, remote_path)
    note = CommitNote(auto=True)
    with _opened(volume, env) as (store, record), progress_bar("Uploading") as report:
        path = parse_path(remote)
        if local_path == "-":
            done = put_stream(store, record, get_stdin(), path, force=True, note=note)
        else:
            done = put_local(store, record, local_path, path, force=True, note=note, report=report)
    note_skipped(done.skipped)
    what = "directory" if Path(local_path).is_dir() else "file"
    say(f"Uploaded {what} '{show(local_path)}' to '{show(remote)}' ({done.bytes} bytes written)")


@verb(group, "rm")
@volume_argument()
@click.argument("remote_path")
@click.option("-r", "--recursive", is_flag=True, help="Delete directory recursively.")
def rm(volume: str, remote_path: str, recursive: bool, env: str | None) -> None:
    """Delete a file, or with -r a directory and everything below it."""
    from volfs.model.names import parse_path
    from volfs.volume.commit import CommitNote
    from volfs.volume.edit import Edit

    with _opened(volume, env) as (store, record), Edit(store, record) as edit:
        edit.remove(parse_path(remote_path), recursive=recursive)
        edit.commit(CommitNote(auto=True))
    say(f"{show(remote_path)} was deleted successfully!")
