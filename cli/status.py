"""status: what mounts there are, and how they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import click

from volfs.model.names import MAIN, split_name
from volfs.model.text import show
from volfs_cli.all_hosts import HOSTS, all_hosts_option, print_hosts
from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import verb
from volfs_cli.output import plural, show_count, show_flag, show_seconds, show_size, show_time
from volfs_cli.request_times import COLUMNS_OF_REQUESTS, print_requests, to_json
from volfs_cli.stores import (
    complete_volume,
    environment_for,
    named_environment,
    store_for,
    store_url,
)

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.control.mount_liveness import Liveness
    from volfs.control.mounts import MountPoint
    from volfs.control.protocol import MountStatus, RequestTimes
    from volfs.sessions.info import SessionInfo


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
    Column("Store", lambda store: show(store or "-"), rank=5, cut="middle"),
    Column("Volume ID", lambda volume_id: volume_id or "-", rank=7),
    Column("Environment", lambda environment: environment or "-", rank=6),
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


class StatusRow(NamedTuple):
    """A mount, by the columns of ``_STATUS`` and ``_REQUESTS``. None is unknown."""

    volume: str
    mountpoint: str
    state: str
    version: int | None = None
    head: int | None = None
    pid: int | None = None
    dirty_files: int | None = None
    dirty_bytes: int | None = None
    open_files: int | None = None
    read_only: bool | None = None
    auto_commit: float | None = None
    store: str | None = None
    volume_id: str | None = None
    environment: str = MAIN
    problem: str = ""
    requests: Mapping[str, RequestTimes] = MappingProxyType({})


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
        print_requests([(row.mountpoint, row.requests) for row in rows], as_json=as_json)
    elif as_json:
        print_listing(
            (*_STATUS, _REQUESTS),
            [(*row[:-1], to_json(row.requests)) for row in rows],
            as_json=True,
        )
    else:
        print_listing(_ON_TERMINAL, [row[:-1] for row in rows], as_json=False)


def _choose_rows(rows: list[StatusRow]) -> list[StatusRow]:
    """All rows, or with ``-e`` those of that environment."""
    named = named_environment()
    return [row for row in rows if named in (None, row.environment)]


def _make_rows(mounts: list[MountClient]) -> list[StatusRow]:
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


def _sort_by_store(rows: list[StatusRow]) -> list[StatusRow]:
    """Sort rows: first those of the store in force, last those of mounts that do not name their
    store."""
    own = _find_own_store()
    return sorted(rows, key=lambda row: (row.store is None, row.store != own, row.store or ""))


def _silent(
    mount: MountPoint, seen: Liveness, store: str, known: dict[tuple[int, int], SessionInfo]
) -> StatusRow:
    """The row of a mount that does not answer, from the store in force."""
    from volfs.control.mount_liveness import State, is_stopped

    session, state, pid = known.get(mount.device), seen.state, seen.pid
    if session and not session.alive and (state, session.mountpoint) != (State.DEAD, mount.path):
        session = None  # the session's mount has ended, and another one has its number now
    if session and session.alive:
        pid = pid or session.pid
        state = State.STOPPED if is_stopped(pid) else state
    environment, name = split_name(mount.source)
    return StatusRow(
        name,
        mount.path,
        state.value,
        pid=pid,
        store=store if session else None,
        volume_id=session.volume_id if session else None,
        environment=environment or MAIN,
    )


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
    if since := said.away_since_ns:
        return f"store unreachable since {show_time(since)}"
    return said.lease_lost


def _answered(said: MountStatus) -> StatusRow:
    return StatusRow(
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
