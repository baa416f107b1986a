"""expire: removing versions from a history, by rules that say which ones stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs_cli.columns import Column
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import verb, volume_argument
from volfs_cli.output import one_line, plural, show_count, show_time
from volfs_cli.stores import opened_volume
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.model.retention import KeepRules
    from volfs.volume.expire import KeepDecision

F = TypeVar("F", bound=Callable[..., Any])
_PERIODS = {"hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months"}
_COLUMNS = (
    Column("Version", show_count),
    Column("Created at", show_time, rank=1),
    Column("Message", cut="end"),
    Column(
        "Kept",
        lambda kept: "kept" if kept else "expired",
        colour=lambda kept: "" if kept else "red",
    ),
    Column("Reasons", ", ".join, cut="end"),
)


def keep_options(command: F) -> F:
    count = click.IntRange(min=1)
    for rule, periods in reversed({**_PERIODS, "yearly": "years"}.items()):
        help = f"Keep the newest version of each of the last N {periods} that have any."
        command = click.option(f"--keep-{rule}", rule, type=count, metavar="N", help=help)(command)
    return click.option(
        "--keep-last", "last", type=count, metavar="N", help="Keep the N newest versions."
    )(command)


@verb("expire")
@volume_argument()
@keep_options
@click.option(
    "--keep-within",
    "within",
    metavar="DURATION",
    help="Keep versions up to this age, such as 36h, 2w or 1y6m, counted from the newest.",
)
@click.option(
    "--keep-tagged",
    "tagged",
    is_flag=True,
    help="Keep tagged versions, which always stay. Given alone, it removes all others.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; list what would be.")
@listing_options(*_COLUMNS)
def expire(
    volume: str, within: str | None, dry_run: bool, as_json: bool, **counts: int | None
) -> None:
    """Remove the versions that no rule keeps. `volfs gc` frees their space.

    The newest version stays, and so does any version that is tagged, mounted or being read.
    """
    from volfs.volume.expire import expire_versions, judge_versions

    rules = _make_rules(within, counts)
    with opened_volume(volume) as (store, record):
        if dry_run:
            decisions = judge_versions(store, record, rules)
            removed = {decision.info.version for decision in decisions if not decision.is_kept}
        else:
            decisions, versions = expire_versions(store, record, rules)
            removed = set(versions)
    if dry_run or as_json:
        rows = [_row(decision, removed, as_json) for decision in decisions]
        print_listing(_COLUMNS, rows, as_json=as_json)
    would = "Would expire" if dry_run else "Expired"
    kept = len(decisions) - len(removed)
    say(f"{would} {plural(len(removed), 'version')}, {kept} stay.", err=dry_run or as_json)


def _make_rules(within: str | None, counts: dict[str, Any]) -> KeepRules:
    from volfs.model.retention import KeepRules, parse_duration

    rules = KeepRules(within_ns=None if within is None else parse_duration(within), **counts)
    if rules.is_empty:
        raise click.UsageError("name at least one rule, such as --keep-last 10")
    return rules


def _row(decision: KeepDecision, removed: set[int], as_json: bool) -> tuple[Any, ...]:
    info = decision.info
    message = info.message if as_json else one_line(info.message)
    return info.version, info.created_ns, message, info.version not in removed, decision.reasons
