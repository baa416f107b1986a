"""log and check: what happened to a volume, and whether all of it is still there."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from volfs_cli.options import verb, volume_argument
from volfs_cli.output import (
    Column,
    json_option,
    one_line,
    plural,
    print_json,
    print_listing,
    show_count,
    show_size,
    show_time,
)
from volfs_cli.progress import progress_bar
from volfs_cli.stores import opened_store, opened_volume

if TYPE_CHECKING:
    from volfs.volume.check import CheckReport, Problem
    from volfs.volume.history import Folded

_LOG = (
    Column("Version", show_count),
    Column("Created at", show_time),
    Column("Message"),
    Column("Author"),
    Column("Files", show_count),
    Column("Directories", show_count),
    Column("Bytes", show_size),
    Column("Auto", lambda auto: "auto" if auto else ""),
    Column("Folded", lambda hidden: f"+{hidden}" if hidden else ""),
    Column("Tags", ", ".join),
)


@verb("log")
@volume_argument()
@click.option("--all", "everything", is_flag=True, help="Show each background commit.")
@click.option("--limit", type=click.IntRange(min=0), help="Show at most so many.")
@json_option
def log(volume: str, everything: bool, limit: int | None, as_json: bool) -> None:
    """Show the versions of a volume, newest first.

    Of background commits in a row only the newest and the tagged ones are
    shown, with the number of those folded away before them.
    """
    from volfs.volume.history import Folded, fold_automatic, iter_history, list_tags_by_version

    with opened_volume(volume) as (store, record):
        versions, tags = iter_history(store, record), list_tags_by_version(store, record)
        shown = (Folded(v, 0) for v in versions) if everything else fold_automatic(versions, tags)
        rows = [(*_log_row(item), tags.get(item.info.version, [])) for item in islice(shown, limit)]
    if not as_json:
        rows = [(row[0], row[1], one_line(row[2]), *row[3:]) for row in rows]
    print_listing(_LOG, rows, as_json=as_json)


def _log_row(item: Folded) -> tuple[Any, ...]:
    info = item.info
    return (
        info.version,
        info.created_ns,
        info.message,
        info.author,
        info.files,
        info.directories,
        info.bytes,
        info.auto,
        item.hidden,
    )


@verb("check", bare=True)
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Read every stored byte and follow every version; exit 1 if anything is wrong."""
    from volfs.volume.check import check_store

    with opened_store() as store, progress_bar("Checking") as report:
        result = check_store(store, report)
    if as_json:
        print_json(_check_as_json(result))
    else:
        _print_check(result)
    if not result.is_clean:
        context.exit(1)


def _check_as_json(result: CheckReport) -> dict[str, Any]:
    return {
        "clean": result.is_clean,
        "volumes": result.volumes,
        "versions": result.versions,
        "trees": result.trees,
        "bytes": result.bytes,
        "damage": [
            {"object": item.oid and item.oid.hex(), "where": item.where, "problem": item.problem}
            for item in result.damage
        ],
        "problems": [
            {
                "volume": item.volume,
                "versions": list(item.versions),
                "path": item.path,
                "problem": item.problem,
                "object": item.oid and item.oid.hex(),
            }
            for item in result.problems
        ],
    }


def _print_check(result: CheckReport) -> None:
    for damage in result.damage:
        click.echo(f"damage: {damage.where}: {damage.problem}")
    for problem in result.problems:
        click.echo(
            f"{problem.volume}: {_show_versions(problem)}: {problem.path}: {problem.problem}"
        )
    checked = (
        f"{plural(result.volumes, 'volume')}, {plural(result.versions, 'version')}, "
        f"{show_size(result.bytes)}"
    )
    found = len(result.damage) + len(result.problems)
    click.echo(f"Checked {checked}: " + (plural(found, "problem") if found else "no problems."))


def _show_versions(problem: Problem) -> str:
    """``version 3``, ``versions 3, 5-9``."""
    runs: list[list[int]] = []
    for version in problem.versions:
        if runs and version == runs[-1][1] + 1:
            runs[-1][1] = version
        else:
            runs.append([version, version])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"version {shown}" if len(problem.versions) == 1 else f"versions {shown}"
