"""merge: the changes of a fork become a version of the volume that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from volfs.errors import VolfsError
from volfs.model.text import show
from volfs_cli.comparing import as_json_row, print_change
from volfs_cli.options import verb
from volfs_cli.output import as_text, json_option, plural, print_json
from volfs_cli.progress import progress_bar
from volfs_cli.stores import (
    complete_version,
    complete_volume,
    get_other_volume,
    opened_volume,
)
from volfs_cli.targets import get_named_version
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.control.protocol import MountStatus
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store
    from volfs.volume.merging import MergeOptions, MergeReport

_CHOICES = ("override", "keep", "fail")
_SHOWN = 20
"""Changes and conflicts that are shown after a merge. Its versions have all of them."""


@verb("merge")
@click.argument("fork", shell_complete=complete_volume)
@click.argument("into", required=False, shell_complete=complete_volume)
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing; show all that would change.")
@click.option(
    "--on-conflict",
    type=click.Choice(_CHOICES),
    default="override",
    show_default=True,
    help="If both changed a path: take the fork's, keep the other's, or refuse.",
)
@click.option(
    "--since",
    metavar="VERSION",
    shell_complete=complete_version,
    help="Merge what FORK changed after this version of it. Default: after its last merge, or "
    "since it was made.",
)
@click.option(
    "-m", "--message", default="", help="A message for the log. Default: what was merged."
)
@json_option
def merge(
    fork: str,
    into: str | None,
    dry_run: bool,
    on_conflict: Any,
    since: str | None,
    message: str,
    as_json: bool,
) -> None:
    """Bring the changes of a fork back to its volume.

    They become the next version of the volume that it was made from, or of INTO. Changes are merged
    path by path, as a commit does. The fork stays as it is; a later merge brings only what is
    newer. `volfs merge VOLUME FORK` brings a fork up to date.
    """
    from volfs.volume.merging import MergeOptions, get_merge_target, merge_volume

    with opened_volume(fork) as (store, record), progress_bar("Merging", "versions") as report:
        target = get_other_volume(store, into) if into else get_merge_target(store, record)
        after = None if since is None else get_named_version(store, record, since)
        options = MergeOptions(message, on_conflict, after, dry_run)
        brought = merge_volume(store, record, target, options, report)
        notes = [] if dry_run else _list_notes(store, record, target, brought)
    if as_json:
        print_json(_as_json(record, target, options, brought))
    else:
        _print_brought(record, target, options, brought)
    for note in notes:
        say(f"volfs: merge: {note}", err=True)


def _as_json(
    fork: VolumeRecord, into: VolumeRecord, options: MergeOptions, brought: MergeReport
) -> dict[str, Any]:
    return {
        "fork": fork.full_name,
        "fork_version": brought.merged.version,
        "into": into.full_name,
        "version": brought.after.version,
        "before": brought.before.version,
        "changed": brought.is_published,
        "dry_run": options.dry_run,
        "since": {
            "volume": brought.since.volume.full_name,
            "version": brought.since.head.version,
        },
        "changes": [as_json_row(change) for change in brought.changes],
        "conflicts": [
            {"path": as_text(b"/".join(item.path)), "fork": item.fork, "into": item.into}
            for item in brought.conflicts
        ],
        "new_objects": brought.new_objects,
        "new_bytes": brought.new_bytes,
    }


def _print_brought(
    fork: VolumeRecord, into: VolumeRecord, options: MergeOptions, brought: MergeReport
) -> None:
    limit = None if options.dry_run else _SHOWN
    for change in islice(brought.changes, limit):
        print_change(change)
    _print_conflicts(fork, into, brought, limit)
    say(_describe(fork, into, options, brought))


def _print_conflicts(
    fork: VolumeRecord, into: VolumeRecord, brought: MergeReport, limit: int | None
) -> None:
    word, lost = ("kept", fork) if brought.is_kept else ("overridden", into)
    for item in islice(brought.conflicts, limit):
        did = f"{into.full_name} {item.into} it, {fork.full_name} {item.fork} it"
        path = show(as_text(b"/".join(item.path)))
        say(f"{word}: {path}: {did}; that of {lost.full_name} stays in its history")
    more = len(brought.conflicts) - (_SHOWN if limit else len(brought.conflicts))
    if more > 0:
        say(f"{word}: {more} more; --json has all")


def _describe(
    fork: VolumeRecord, into: VolumeRecord, options: MergeOptions, brought: MergeReport
) -> str:
    count = plural(len(brought.changes), "change")
    what = f"{fork.full_name} at version {brought.merged.version}"
    if not brought.changes and not brought.is_published:
        has = "keeps its own" if brought.conflicts else f"has all of {what}"
        return f"Nothing to merge: {into.full_name} {has}."
    before, after = brought.before.version, brought.after.version
    if options.dry_run:
        return f"Would merge {what} into {into.full_name} at version {before}: {count}."
    hint = f"; see volfs diff {into.full_name} {before} {after}"
    hint = hint if len(brought.changes) > _SHOWN else ""
    return f"Merged {what} into {into.full_name} as version {after}: {count}{hint}."


def _list_notes(
    store: Store, fork: VolumeRecord, into: VolumeRecord, brought: MergeReport
) -> Sequence[str]:
    """What a user may not expect: what a mount of the fork has not committed was not merged, and
    mounts of the other volume show the merge after a reload."""
    from volfs.daemon.named_mounts import find_volume_mounts

    def find_places(volume: VolumeRecord) -> Iterator[MountStatus]:
        for found in find_volume_mounts(store, volume):
            with suppress(VolfsError):
                yield found.check()

    name = fork.full_name
    notes = [
        f"what {it.mountpoint} has not committed of {name} is not merged"
        for it in find_places(fork)
        if it.dirty_files
    ]
    if brought.is_published and not into.is_network:
        places = [it.mountpoint for it in find_places(into)]
        notes += [f"{place} shows it after: volfs reload {place}" for place in places]
    return notes
