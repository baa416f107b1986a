"""mount umount commit reload: volumes as file systems."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.model.text import show
from volfs_cli.forcing import find_mount, unmount_by_force
from volfs_cli.options import (
    Seconds,
    at_option,
    auto_commit_option,
    log_options,
    timeout_option,
    verb,
    volume_argument,
)
from volfs_cli.output import (
    json_option,
    plural,
    print_json,
    print_overridden,
    show_size,
)
from volfs_cli.stores import (
    complete_volume,
    environment_for,
    parse_name,
    store_for,
    store_url,
)
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.control.mounts import MountPoint
    from volfs.control.protocol import CommitResult

F = TypeVar("F", bound=Callable[..., Any])

target_argument = click.argument(
    "target", metavar="MOUNTPOINT|VOLUME", shell_complete=complete_volume
)


@verb("mount")
@volume_argument()
@click.argument("mountpoint", type=click.Path())
@click.option("--foreground", is_flag=True, help="Stay; do not go to the background.")
@click.option("--read-only", is_flag=True, help="Writes fail with EROFS.")
@at_option("Always show this version or tag; read-only.")
@click.option("--follow", is_flag=True, help="Show each new version at once; read-only.")
@click.option(
    "--on-version",
    metavar="COMMAND",
    help="With --follow: run this in a shell after each new version.",
)
@click.option("--sub-path", metavar="DIR", help="Show only this directory of the volume.")
@click.option("--allow-other", is_flag=True, help="Let other users in, as the modes allow.")
@click.option("--no-exec", is_flag=True, help="Let no program in the mount be executed.")
@click.option("--nonempty", is_flag=True, help="Mount over a directory that is not empty.")
@auto_commit_option("Commit in the background, every 5 seconds if no number; 0 is off.")
@log_options
@timeout_option
def mount(volume: str, mountpoint: str, timeout: float | None, **options: Any) -> None:
    """Mount the newest version of a volume.

    The command returns when the mount answers, and leaves a daemon in the background.
    """
    from volfs.daemon.mount_options import MountOptions
    from volfs.errors import MountError

    if options["follow"] and options["at"] is not None:
        raise click.UsageError("--follow shows the newest version, and --at another: choose one")
    if options["on_version"] is not None and not options["follow"]:
        raise click.UsageError("--on-version goes with --follow")
    where, name = parse_name(volume)
    place = os.path.abspath(mountpoint)
    chosen = MountOptions(store_url(), name, place, environment=where, **options)
    try:
        from volfs.daemon.launch import mount as launch
    except ImportError as error:
        raise MountError(f"{volume}: mounting needs pyfuse3 and libfuse3: {error}") from error
    launch(chosen, timeout)


@verb("umount")
@target_argument
@click.option("--discard", is_flag=True, help="Drop uncommitted changes instead of committing.")
@click.option(
    "--force",
    is_flag=True,
    help="End the mount in any case: of a daemon that does not answer for 10 seconds (or "
    "--timeout), what was fsynced and not committed stays as an overlay.",
)
@timeout_option
def umount(target: str, discard: bool, force: bool, timeout: float | None) -> None:
    """Commit what is left, then unmount.

    If the daemon of a mount has died, only the mount point is freed. The uncommitted changes stay:
    see `volfs overlays`.
    """
    end_mount(target, discard=discard, force=force, timeout=timeout)


def end_mount(target: str, *, discard: bool, force: bool, timeout: float | None) -> None:
    """Unmount the mount that a command's argument means, and say what became of it."""
    if force:
        forced = find_mount(target)
        number = _choose_number(target, forced.mount)
        unmount_by_force(forced, discard=discard, number=number, timeout=timeout)
        return
    mount = _get_target(target)
    if mount.is_alive() or not _take_away(mount.mount):
        number = _choose_number(target, mount.mount)
        if discard:
            _say_what_goes(mount)
        for copy in mount.unmount(discard=discard, number=number, timeout=timeout).copies:
            say(f"volfs: umount: a copy that nobody used is dead now: {copy}", err=True)


def _get_target(target: str) -> MountClient:
    from volfs.daemon.named_mounts import get_target

    return get_target(target, store_for(target), environment_for(target))


def _choose_number(target: str, mount: MountPoint) -> int:
    """The number of the mount point that a path names; 0 for a volume's name. MountError for a
    path inside a mount."""
    from volfs.control.mounts import resolve_mount_path
    from volfs.errors import MountError

    if mount.path == resolve_mount_path(target):
        return mount.number
    if "/" in target or target in (".", ".."):
        raise MountError(f"{target}: inside of the mount at {mount.path}: name that")
    return 0


def _say_which(target: str, mount: MountClient) -> None:
    """Say which mount was meant, if the target is a path that does not simply lead to it."""
    from volfs.control.mounts import leads_to, resolve_mount_path

    path = resolve_mount_path(target)
    if path != mount.mount.path and "/" not in target and target not in (".", ".."):
        return
    said, is_covered = mount.status(), not leads_to(target, mount.mount)
    if said.mountpoint != path or is_covered:
        below = ", below what is mounted over it" if is_covered else ""
        say(f"{target}: the mount of {said.full_name} at {said.mountpoint}{below}", err=True)


def _say_what_goes(mount: MountClient) -> None:
    said = mount.status()
    what = f"{plural(said.dirty_files, 'file')}, {show_size(said.dirty_bytes)}"
    say(
        f"Discarding what {show(said.full_name)} has uncommitted at {show(said.mountpoint)} "
        f"({what}); store {show(said.store)}."
    )


def _take_away(mount: MountPoint) -> bool:
    """Unmount a mount that has no daemon, and raise MountError, because nothing was committed.
    False if it has a daemon."""
    from volfs.control.mount_liveness import is_dead
    from volfs.daemon.dead_mounts import clear_dead_mount
    from volfs.errors import MountError

    if not is_dead(mount):
        return False
    clear_dead_mount(mount.path)
    raise MountError(
        f"{mount.path}: unmounted, but its daemon had died and nothing was committed; "
        "`volfs overlays` shows what is left"
    )


def commit_options(command: F) -> F:
    """The options of every command that commits an overlay."""
    message = click.option("-m", "--message", default="", help="What changed, for the log.")
    on_conflict = click.option(
        "--on-conflict",
        type=click.Choice(("override", "fail")),
        default="override",
        show_default=True,
        help="If others committed changes to the same file: replace theirs, or refuse.",
    )
    return message(on_conflict(json_option(command)))


@verb("commit")
@target_argument
@commit_options
@timeout_option
def commit(
    target: str, message: str, on_conflict: str, as_json: bool, timeout: float | None
) -> None:
    """Commit a mount's changes as the next version."""
    mount = _get_target(target)
    result = mount.commit(message, on_conflict, timeout)
    _say_which(target, mount)
    print_commit(result, as_json)


def print_commit(result: CommitResult, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json(msgspec.to_builtins(result))
    elif not result.changed:
        say(f"Nothing to commit; version {result.version} is the newest.")
    else:
        size = show_size(result.new_bytes)
        objects = plural(result.new_objects, "new object")
        say(f"Committed version {result.version} ({objects}, {size}).")
        rows = ((item["path"], item["theirs"], item["ours"]) for item in result.overridden)
        print_overridden(rows)


@verb("reload")
@target_argument
@click.option("--wait", type=Seconds(), default=0.0, help="Retry while files are open.")
@click.option("--touch", is_flag=True, help="Give files that arrive the present as their time.")
@timeout_option
@json_option
def reload(target: str, wait: float, touch: bool, as_json: bool, timeout: float | None) -> None:
    """Let a mount show the newest version. Exit status 16 while files are open."""
    import msgspec

    mount = _get_target(target)
    result = mount.reload(wait, timeout, touch=touch)
    _say_which(target, mount)
    if as_json:
        facts = msgspec.to_builtins(result)
        print_json({name: fact for name, fact in facts.items() if fact is not None})
    elif result.version == result.before:
        say(f"Already at version {result.version}.")
    else:
        touched = f"; {plural(result.touched or 0, 'file')} touched" if touch else ""
        say(f"Reloaded from version {result.before} to {result.version}{touched}.")
