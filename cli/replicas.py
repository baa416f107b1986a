"""push pull export import: copies of a volume in other stores."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from volfs_cli.files import get_stdin
from volfs_cli.options import verb, volume_argument
from volfs_cli.output import json_option, plural, print_json, show_size
from volfs_cli.progress import progress_bar
from volfs_cli.stores import complete_version, opened_store, opened_volume, parse_name
from volfs_cli.targets import get_named_version
from volfs_cli.terminal import say, take_logs

if TYPE_CHECKING:
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.system.files import Output
    from volfs.volume.replicas.exporting import Export
    from volfs.volume.replicas.replica import ReplicaName
    from volfs.volume.replicas.sending import SendOptions, Sent

F = TypeVar("F", bound=Callable[..., Any])


def _send_options(command: F) -> F:
    for option in (
        click.option("--force", is_flag=True, help="Add versions even after one that was expired."),
        click.option("--newest", is_flag=True, help="Add only the newest version."),
        click.option(
            "--as", "wanted", metavar="NAME", help="The name of a new copy: NAME or ENV/NAME."
        ),
    ):
        command = option(command)
    return command


@verb("push")
@volume_argument()
@click.option("--to", "other", metavar="STORE", required=True, help="A directory or a URL.")
@_send_options
@json_option
def push(
    volume: str, other: str, wanted: str | None, newest: bool, force: bool, as_json: bool
) -> None:
    """Copy a volume to another store, or update its copy there."""
    options = _read_options(wanted, newest, force)
    with (
        opened_volume(volume) as (store, record),
        _opened_other(other, create=True, quiet=as_json) as target,
    ):
        sent = _send(store, record, target, options, "Pushing")
        _print_sent("Pushed", record.full_name, target, sent, as_json)


@verb("pull")
@click.argument("volume")
@click.option("--from", "other", metavar="STORE", required=True, help="A directory or a URL.")
@_send_options
@json_option
def pull(
    volume: str, other: str, wanted: str | None, newest: bool, force: bool, as_json: bool
) -> None:
    """Copy a volume from another store, or update the copy here."""
    options = _read_options(wanted, newest, force)
    where, name = parse_name(volume)
    with _opened_other(other) as source, opened_store(create=True) as store:
        record = source.refs.get_volume(name, where)
        sent = _send(source, record, store, options, "Pulling")
        _print_sent("Pulled", record.full_name, store, sent, as_json)


@verb("export")
@volume_argument()
@click.argument("file", type=click.Path())
@click.option(
    "--since",
    metavar="VERSION",
    shell_complete=complete_version,
    help="Leave out what this version has, and all before it.",
)
@click.option("--newest", is_flag=True, help="Export only the newest version.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def export(
    volume: str, file: str, since: str | None, newest: bool, force: bool, as_json: bool
) -> None:
    """Write the versions of a volume to one file.

    If FILE is '-', they go to stdout.
    """
    from volfs.volume.replicas.exporting import Export

    if as_json and file == "-":
        raise click.UsageError("--json and the volume would both go to stdout; name a file")
    with opened_volume(volume) as (store, record), progress_bar("Exporting", "versions") as report:
        after = None if since is None else get_named_version(store, record, since)
        exported = Export(store, record, after, newest=newest, report=report)
        if file == "-":
            _write_out(exported)
        else:
            _write_file(Path(file), exported, force)
    versions = [version.version for version in exported.versions]
    if as_json:
        facts = {"versions": versions, "objects": exported.objects, "bytes": exported.bytes}
        print_json({"volume": record.full_name, "id": record.id, "file": file, **facts})
        return
    size = f"{plural(exported.objects, 'object')}, {show_size(exported.bytes)}"
    said = f"Exported {_describe(versions)} of '{record.full_name}' to {file} ({size})."
    say(said, err=file == "-")


@verb("import", has_names=False)
@click.argument("file", type=click.Path())
@_send_options
@json_option
def import_(file: str, wanted: str | None, newest: bool, force: bool, as_json: bool) -> None:
    """Copy a volume from a file of `volfs export`.

    If FILE is '-', stdin is read.
    """
    from volfs.volume.replicas.importing import import_volume

    options = _read_options(wanted, newest, force)
    with _opened_file(file) as source, opened_store(create=True) as store:
        with progress_bar("Importing", "versions") as report:
            sent = import_volume(store, source, options, report)
        _print_sent("Imported", sent.replica.full_name, store, sent, as_json)


# --- what the commands share --------------------------------------------------


def _read_options(wanted: str | None, newest: bool, force: bool) -> SendOptions:
    from volfs.volume.replicas.sending import SendOptions

    return SendOptions(_read_name(wanted), newest, force)


def _read_name(wanted: str | None) -> ReplicaName:
    from volfs.model.names import check_environment, check_volume_name, split_name
    from volfs.volume.replicas.replica import ReplicaName

    if wanted is None:
        return ReplicaName()
    inner, name = split_name(wanted)
    return ReplicaName(check_volume_name(name), None if inner is None else check_environment(inner))


@contextmanager
def _opened_other(address: str, *, create: bool = False, quiet: bool = False) -> Iterator[Store]:
    """The other store. If it is not there, ``create`` makes it, and a message says so unless
    ``quiet`` is set."""
    from volfs.errors import NotAStoreError
    from volfs.store.address import parse_address
    from volfs.store.registry import open_store

    take_logs()
    url = parse_address(address).text
    try:
        store = open_store(url)
    except NotAStoreError:
        if not create:
            raise
        store = open_store(url, create=True)
        if not quiet:
            say(f"Made a store in {url}.")
    try:
        yield store
    finally:
        store.close()


def _send(
    source: Store, record: VolumeRecord, target: Store, options: SendOptions, doing: str
) -> Sent:
    from volfs.volume.replicas.sending import send_volume

    with progress_bar(doing, "versions") as report:
        return send_volume(source, record, target, options, report)


def _print_sent(done: str, name: str, target: Store, sent: Sent, as_json: bool) -> None:
    replica = sent.replica
    if as_json:
        facts = {"id": replica.id, "store": target.url, "versions": sent.versions}
        tags = {"tags": sent.tags, "kept_tags": sent.kept_tags}
        sizes = {"objects": sent.objects, "bytes": sent.bytes}
        print_json({"volume": replica.full_name, **facts, **tags, **sizes})
        return
    for tag in sent.kept_tags:
        say(f"volfs: note: the tag '{tag}' names another version there, and stays", err=True)
    where = f"'{replica.full_name}' in {target.url}"
    if not sent.versions:
        newest = target.refs.get_head(replica.id).version
        say(f"{where} is up to date, at version {newest}.")
        return
    size = f"{plural(sent.objects, 'object')}, {show_size(sent.bytes)}"
    say(f"{done} {_describe(sent.versions)} of '{name}' to {where} ({size}).")


def _describe(versions: list[int]) -> str:
    if len(versions) == 1:
        return f"version {versions[0]}"
    between = f" ({versions[0]} to {versions[-1]})" if versions else ""
    return f"{plural(len(versions), 'version')}{between}"


def _write_out(exported: Export) -> None:
    if sys.stdout.isatty():
        raise click.UsageError("an exported volume is no text; redirect the output or name a file")
    sys.stdout.flush()
    _write_into(sys.stdout.buffer, exported)


def _write_file(path: Path, exported: Export, force: bool) -> None:
    from volfs.system.files import replace_file
    from volfs.volume.local_listing import local_errors

    with local_errors(os.fsencode(path)):
        if path.is_fifo() or path.is_char_device():
            # No file may replace a pipe or a device.
            with path.open("wb", buffering=0) as out:
                _write_into(out, exported)
            return
        if os.path.lexists(path):
            _check_replaceable(path, force)
        replace_file(path.resolve(), exported)


def _write_into(out: Output, exported: Export) -> None:
    from volfs.system.files import write_out

    for piece in exported:
        write_out(out, piece)


def _check_replaceable(path: Path, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path}: is no file")
    if not force:
        raise click.UsageError(f"{path}: is there already; --force replaces it")


@contextmanager
def _opened_file(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield get_stdin()
        return
    with Path(name).open("rb") as file:
        yield file
