"""put: local files, directories and archives, as one version."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from volfs.model.text import show
from volfs_cli.comparing import COLOURS
from volfs_cli.files import TargetExistsError, choose_remote, force_option, get_stdin, note_skipped
from volfs_cli.options import verb, volume_argument
from volfs_cli.output import note_overridden, plural, show_size
from volfs_cli.progress import progress_bar
from volfs_cli.stores import opened_volume
from volfs_cli.terminal import say, write_coloured

if TYPE_CHECKING:
    from volfs.model.names import Path
    from volfs.model.progress import Report
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.put import PutResult
    from volfs.volume.put_choice import Excluded, PutRules


@verb("put")
@volume_argument()
@click.argument("local_path", type=click.Path())
@click.argument("remote_path", default="/")
@force_option
@click.option(
    "--delete", is_flag=True, help="Delete what LOCAL_PATH, a directory, lacks; includes --force."
)
@click.option(
    "--exclude",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="Leave out, and do not delete, what matches, as in .gitignore; may be repeated.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("-p", "--preserve", is_flag=True, help="Keep owners, xattrs, ACLs, hard links.")
@click.option("--tar", "is_tar", is_flag=True, help="LOCAL_PATH is a tar archive, or '-'.")
def put(
    volume: str,
    local_path: str,
    remote_path: str,
    force: bool,
    delete: bool,
    patterns: tuple[str, ...],
    dry_run: bool,
    preserve: bool,
    is_tar: bool,
) -> None:
    """Upload a file, or the contents of a directory, as one version.

    If LOCAL_PATH is '-', the bytes are read from stdin. If REMOTE_PATH ends in '/', it is the
    directory to put the file into. With --force or --delete only the files of a directory whose
    size, mode or time differ are sent. With --tar the members of an archive go below REMOTE_PATH:
    docker export NAME | volfs put data - --tar.
    """
    from volfs.errors import EntryExistsError
    from volfs.model.names import parse_path
    from volfs.volume.put_choice import PutRules

    _check(local_path, is_tar, for_directories=delete or dry_run)
    if not is_tar:
        remote_path = choose_remote(local_path, remote_path)
    rules = PutRules(
        force or delete,
        delete,
        preserve,
        dry_run,
        compares=force or delete,
        excluded=_make_excluded(patterns),
    )
    with opened_volume(volume) as (store, record), progress_bar("Uploading") as report:
        try:
            path = parse_path(remote_path)
            result = (_put_tar if is_tar else _put)(store, record, local_path, path, rules, report)
        except EntryExistsError as error:
            hint = "" if force else "; use --force to overwrite files"
            raise TargetExistsError(f"{error}{hint}") from error
    note_skipped(result.skipped)
    _tell(result, local_path, remote_path, is_tar)


def _check(local_path: str, is_tar: bool, *, for_directories: bool) -> None:
    if "*" in local_path and not os.path.lexists(local_path):
        raise click.UsageError("Glob uploads are currently not supported")
    is_directory = os.path.isdir(local_path) and local_path != "-"
    if is_tar and is_directory:
        raise click.UsageError(f"{show(local_path)}: a directory; --tar is for an archive, or '-'")
    if for_directories and (is_tar or (os.path.lexists(local_path) and not is_directory)):
        raise click.UsageError("--delete and --dry-run are for directories")


def _make_excluded(patterns: Sequence[str]) -> Excluded:
    """The function that says what the patterns leave out. UsageError for a wrong pattern."""
    from volfs.volume.put_choice import exclude_nothing

    if not patterns:
        return exclude_nothing
    from pathspec import GitIgnoreSpec

    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise click.UsageError(f"--exclude: {error}") from None

    def is_excluded(path: Path, is_directory: bool) -> bool:
        name = os.fsdecode(b"/".join(path))
        return spec.match_file(f"{name}/" if is_directory else name)

    return is_excluded


def _put(
    store: Store, record: VolumeRecord, local: str, path: Path, rules: PutRules, report: Report
) -> PutResult:
    from volfs.volume.put import put_local, put_stream

    if local == "-":
        return put_stream(store, record, get_stdin(), path, force=rules.force)
    return put_local(store, record, local, path, rules=rules, report=report)


def _put_tar(
    store: Store, record: VolumeRecord, local: str, path: Path, rules: PutRules, report: Report
) -> PutResult:
    from volfs.volume.local_listing import local_errors
    from volfs.volume.put_tar import put_tar

    if local == "-":
        return put_tar(store, record, get_stdin(), path, rules, report=report)
    with local_errors(os.fsencode(local)):
        file = open(local, "rb")  # noqa: SIM115
    with file:
        return put_tar(store, record, file, path, rules, report=report)


def _tell(result: PutResult, local_path: str, remote_path: str, is_tar: bool) -> None:
    from volfs.model.names import show_path

    if result.published is None:
        for action in result.actions:
            line = f"{action.letter} {show_path(action.path)}"
            write_coloured(line, COLOURS[action.letter])
        say(f"Would change {plural(len(result.actions), 'path')}.", err=True)
        return
    note_overridden(result.published)
    what = "archive" if is_tar else "directory" if _is_directory(local_path) else "file"
    if not result.published.changed:
        say(f"Nothing to upload: '{show(remote_path)}' has all of '{show(local_path)}'")
        return
    sent = f" ({plural(result.files, 'file')}, {show_size(result.bytes)})" if is_tar else ""
    say(f"Uploaded {what} '{show(local_path)}' to '{show(remote_path)}'{sent}")


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
