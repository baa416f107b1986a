"""mount umount commit reload status: volumes as file systems."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.model.names import MAIN, split_name
from volfs.model.text import show
from volfs_cli.all_hosts import HOSTS, all_hosts_option, print_hosts
from volfs_cli.columns import Column
from volfs_cli.forcing import find_mount, unmount_by_force
from volfs_cli.listings import listing_options, print_listing
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
    show_count,
    show_flag,
    show_seconds,
    show_size,
    show_time,
)
from volfs_cli.request_times import COLUMNS_OF_REQUESTS, print_requests, to_json
from volfs_cli.stores import (
    complete_volume,
    environment_for,
    named_environment,
    parse_name,
    store_for,
    store_url,
)
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.control.mount_liveness import Liveness
    from volfs.control.mounts import MountPoint
    from volfs.control.protocol import CommitResult, MountStatus
    from volfs.sessions.info import SessionInfo

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
    from volfs.model.text import show

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


def colour_state(state: str) -> str:
    """What does not work is red."""
    return "" if state == "alive" else "red"


def _show_changes(files: int | None, size: int | None) -> str:
    return f"{plural(files, 'file')}, {show_size(size)}" if files else ""


def _show_version(version: int | None, head: int | None) -> str:
    if version is None:
        return "-"
    return str(version) if head in (None, version) else f"{version} of {head}"


def _colour_version(version: int | None, head: int | None) -> str:
    return "" if head in (None, version) else "yellow"


STATE = Column(
    "State", lambda state: "" if state == "alive" else state, of=("state",), colour=colour_state
)
"""For terminals: of mounts in any other state than the usual one."""
CHANGES = Column("Changes", _show_changes, of=("dirty_files", "dirty_bytes"))
_STORE = Column("Store", lambda store: show(store or "-"), rank=5, cut="middle")
_ENVIRONMENT = Column("Environment", lambda environment: environment or "-", rank=6)
_STATUS = (
    Column("Volume", cut="middle"),
    Column("Mountpoint", cut="middle"),
    Column("State"),
    Column("Version", show_count),
    Column("Head", show_count),
    Column("PID", show_count, rank=2),
    Column("Dirty files", show_count),
    Column("Dirty bytes", show_size),
    Column("Open files", show_count),
    Column("Read-only", show_flag, rank=4),
    Column("Auto-commit", show_seconds, rank=3),
    _STORE,
    Column("Volume ID", lambda volume_id: volume_id or "-", rank=7),
    _ENVIRONMENT,
    Column("Problem", cut="end", colour=lambda _: "red"),
)
_ON_TERMINAL = (
    *_STATUS[:2],
    STATE,
    Column("Version", _show_version, of=("version", "head"), colour=_colour_version),
    CHANGES,
    *_STATUS[2:],
)
_REQUESTS = Column("Requests")
"""A column for JSON only. It is the last in a row, and has the requests by operation."""


@verb("status", bare=True)
@click.argument(
    "target", required=False, metavar="[MOUNTPOINT|VOLUME]", shell_complete=complete_volume
)
@click.option(
    "--requests",
    "of_requests",
    is_flag=True,
    help="Show the requests to each mount, and how long they took.",
)
@all_hosts_option
@listing_options(*_STATUS, *COLUMNS_OF_REQUESTS, *HOSTS)
def status(target: str | None, of_requests: bool, all_hosts: bool, as_json: bool) -> None:
    """Show mounts: versions, uncommitted changes, open files.

    Mounts of the store in force come first. With --all-hosts, show the mounts of the store in
    force on all hosts, as far as the store knows them.
    """
    if all_hosts:
        if target is not None or of_requests:
            raise click.UsageError("--all-hosts: without MOUNTPOINT, VOLUME and --requests")
        print_hosts(as_json=as_json)
        return
    from volfs.control.mount_client import list_mounts
    from volfs.daemon.named_mounts import find_targets

    if target is None:
        rows = _choose_rows(_make_rows(list_mounts()))
    else:
        rows = _make_rows(find_targets(target, store_for(target), environment_for(target)))
    rows = _sort_by_store(rows)
    if of_requests:
        print_requests(
            [(mountpoint, requests) for _, mountpoint, *_, requests in rows], as_json=as_json
        )
    elif as_json:
        print_listing(
            (*_STATUS, _REQUESTS), [(*row[:-1], to_json(row[-1])) for row in rows], as_json=True
        )
    else:
        print_listing(_ON_TERMINAL, [row[:-1] for row in rows], as_json=False)


def _choose_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """All rows, or with ``-e`` those of that environment."""
    named, at = named_environment(), _STATUS.index(_ENVIRONMENT)
    return [row for row in rows if named in (None, row[at])]


def _make_rows(mounts: list[MountClient]) -> list[tuple[Any, ...]]:
    """The rows of all mounts."""
    from volfs.control.mount_liveness import look_at_all
    from volfs.daemon.named_mounts import list_known_sessions

    seen = list(look_at_all(mounts))
    store = _find_own_store()
    known = {} if all(one.status for one in seen) else list_known_sessions(store)
    return [
        _answered(one.status) if one.status else _silent(mount.mount, one, store, known)
        for mount, one in zip(mounts, seen, strict=True)
    ]


def _find_own_store() -> str:
    """The store in force, as daemons write its path; empty if it has no valid address."""
    from volfs.errors import UserError
    from volfs.store.address import find_local_path

    try:
        url = store_url()
        place = find_local_path(url)
    except UserError:
        return ""
    return os.path.realpath(place) if place else url


def _sort_by_store(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Sort rows: first those of the store in force, last those of mounts that do not name their
    store."""
    at, own = _STATUS.index(_STORE), _find_own_store()
    return sorted(rows, key=lambda row: (row[at] is None, row[at] != own, row[at] or ""))


def _silent(
    mount: MountPoint, seen: Liveness, store: str, known: dict[tuple[int, int], SessionInfo]
) -> tuple[Any, ...]:
    """The row of a mount that does not answer, from the store in force."""
    from volfs.control.mount_liveness import State, is_stopped

    session, state, pid = known.get(mount.device), seen.state, seen.pid
    if session and not session.alive and (state, session.mountpoint) != (State.DEAD, mount.path):
        session = None  # the session's mount has ended, and another one has its number now
    if session and session.alive:
        pid = pid or session.pid
        state = State.STOPPED if is_stopped(pid) else state
    unknown = (None,) * (len(_STATUS) - 10)
    of_store = (store, session.volume_id) if session else (None, None)
    inner, name = split_name(mount.source)
    said = (name, mount.path, state.value, None, None, pid, *unknown, *of_store)
    return (*said, inner or MAIN, "", {})


def _show_state(said: MountStatus) -> str:
    if said.bucket is not None and said.bucket.unreachable_since_ns:
        return "unreachable"
    if said.unreachable_since_ns:
        return "store unreachable"
    if said.lease_lost:
        return "lease lost"
    return "store replaced" if said.store_replaced else "alive"


def _describe_problem(said: MountStatus) -> str:
    """What the state alone does not tell."""
    since = said.bucket.unreachable_since_ns if said.bucket else said.unreachable_since_ns
    if since:
        return f"store unreachable since {show_time(since)}"
    return said.lease_lost


def _answered(said: MountStatus) -> tuple[Any, ...]:
    return (
        said.volume,
        said.mountpoint,
        _show_state(said),
        None if said.bucket else said.version,
        said.head,
        said.pid,
        said.dirty_files,
        said.dirty_bytes,
        said.open_files,
        said.read_only,
        said.auto_commit,
        said.store,
        said.volume_id,
        said.environment,
        _describe_problem(said),
        said.requests,
    )
