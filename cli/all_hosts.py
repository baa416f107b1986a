"""What other hosts have of a store: `status --all-hosts`, `overlays --all-hosts`, and `forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from volfs_cli.columns import Column
from volfs_cli.listings import print_listing
from volfs_cli.options import verb, yes_option
from volfs_cli.output import confirm, show_age, show_count
from volfs_cli.stores import named_environment, opened_store
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.sessions.hosts import HostSession
    from volfs.store.contract.store import Store

HOST = Column("Host")
ELSEWHERE = "elsewhere"
"""The state of an overlay that is on another host, where alone it can be looked at."""
HOSTS = (
    HOST,
    Column("Mountpoint", lambda place: place or "-", cut="middle"),
    Column("Volume", cut="middle"),
    Column("Version", show_count),
    Column("Kind"),
    Column("Renewed", lambda age: "-" if age is None else show_age(age)),
    Column("Session", rank=1),
    Column("Volume ID", rank=3),
    Column("Environment", rank=2),
)
all_hosts_option = click.option(
    "--all-hosts", is_flag=True, help="Those of all hosts, as their leases in the store tell them."
)


def print_hosts(*, as_json: bool) -> None:
    """The mounts of all hosts, and what is being read."""
    from volfs.sessions.hosts import list_host_sessions

    with opened_store() as store:
        found = list_host_sessions(store)
    named = named_environment()
    rows = [_as_row(one) for one in found if named in (None, one.environment)]
    print_listing(HOSTS, rows, as_json=as_json)


def _as_row(found: HostSession) -> tuple[Any, ...]:
    lease = found.lease
    return (
        found.host,
        lease.place,
        found.volume,
        found.version,
        found.kind,
        None if found.age is None else round(found.age, 3),
        lease.session,
        lease.volume_id,
        found.environment,
    )


def list_elsewhere(store: Store) -> list[tuple[Any, ...]]:
    """The rows of other hosts' overlays for ``volfs overlays --all-hosts``."""
    from volfs.sessions.hosts import list_host_sessions
    from volfs.store.contract.lease import LeaseKind

    return [
        (
            found.lease.session,
            found.volume,
            found.lease.place,
            ELSEWHERE,
            found.version,
            None if found.age is None else round(found.age, 3),
            None,
            None,
            "",
            found.environment,
            found.host,
        )
        for found in list_host_sessions(store)
        if not found.is_here and found.lease.kind is LeaseKind.KEPT
    ]


@verb("forget")
@click.argument("session")
@yes_option
def forget(session: str, yes: bool) -> None:
    """Let go of what the mount of a host stands on that never comes back.

    The host's uncommitted changes are on its own disk. If it comes back, they can be committed only
    if the version that they stand on is in the history then.
    """
    from volfs.sessions.hosts import forget_session, get_host_session

    with opened_store() as store:
        found = get_host_session(store, session)
        say(describe_cost(found))
        confirm(f"Forget {session}?", yes)
        forget_session(store, found)


def describe_cost(found: HostSession) -> str:
    """What is lost if the session lives after all."""
    from volfs.model.text import show

    lease = found.lease
    heard = "" if found.age is None else f", last heard of {show_age(found.age)} ago"
    version = "nothing" if found.version is None else f"version {found.version}"
    return (
        f"A mount of {show(found.volume)} on {show(found.host)} at {show(lease.place)}{heard}; it "
        f"stands on {version}, which may be expired from now on. If the host comes back after "
        "that, what it has not committed cannot be committed: it can be exported or rebased there, "
        "as far as its content is still in the store."
    )
