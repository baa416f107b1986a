"""gc, check, upgrade and rebuild-index: the care of a whole store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from volfs.errors import InvalidError
from volfs.model.sizes import parse_size
from volfs_cli.options import verb
from volfs_cli.output import json_option, plural, print_json, show_size
from volfs_cli.progress import progress_bar
from volfs_cli.stores import opened_store, store_url
from volfs_cli.terminal import answer, say

if TYPE_CHECKING:
    from volfs.daemon.sessions.mend import MendedLease
    from volfs.store.contract.care import GcReport, RepairReport
    from volfs.volume.check import CheckReport, Problem
    from volfs.volume.recovery import Recovered

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[float]):
    """A time in seconds, or a number with s, m, h, d or w after it."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d*)?)([smhdw]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no length of time, such as 90, 30m, 12h or 7d", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Amount(click.ParamType[int]):
    """A number of bytes, as people write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(str(value).replace("%", "?"), 0, "size")
        except InvalidError:
            self.fail(f"{value!r} is no size, such as 500M or 20G", param, ctx)


@verb("gc", bare=True, has_names=False)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--grace",
    type=Duration(),
    metavar="DURATION",
    default="1d",
    help="How long removed data stays in quarantine: seconds, or 30m, 12h, 7d. Default: 1d.",
)
@click.option(
    "--max-rewrite",
    type=Amount(),
    metavar="SIZE",
    help="How much gc may copy out of packs that are mostly unused: 500M, 20G. The rest waits.",
)
@click.option("--undelete", is_flag=True, help="Bring back what gc has put into quarantine.")
@json_option
def gc(dry_run: bool, grace: float, max_rewrite: int | None, undelete: bool, as_json: bool) -> None:
    """Remove what no version, no tag and no mount needs any more."""
    if undelete and dry_run:
        raise click.UsageError("--undelete and --dry-run exclude each other")
    if undelete:
        _undelete(as_json)
        return
    from volfs.volume.gc import collect_garbage

    with opened_store() as store, progress_bar("Collecting") as report:
        result = collect_garbage(
            store, grace=grace, dry_run=dry_run, max_rewrite=max_rewrite, report=report
        )
    if as_json:
        print_json({"dry_run": dry_run, **result._asdict()})
    else:
        _print_gc(result, dry_run)


def _undelete(as_json: bool) -> None:
    with opened_store() as store:
        result = store.care.undelete()
    if as_json:
        print_json(result._asdict())
        return
    say(f"Brought back {plural(result.packs, 'pack')} with {plural(result.objects, 'object')}.")
    if result.missing_packs:
        say(f"The files of {plural(result.missing_packs, 'pack')} are gone or cut short.")
    if result.damaged_packs:
        say(
            f"Left in quarantine, for a repair put it there: {plural(result.damaged_packs, 'pack')}"
            " that is damaged; what could be read of it is in use."
        )


def _print_gc(result: GcReport, dry_run: bool) -> None:
    tell = answer if dry_run else say
    would = "Would put" if dry_run else "Put"
    packs = result.dropped_packs + result.rewritten_packs
    tell(f"In use: {plural(result.live_objects, 'object')}, {show_size(result.live_bytes)}.")
    tell(
        f"{would} into quarantine: {plural(packs, 'pack')}, {show_size(result.quarantined_bytes)}; "
        f"{result.rewritten_packs} rewritten, {show_size(result.rewritten_bytes)} copied."
    )
    tell(
        f"{'Would delete' if dry_run else 'Deleted'}: {plural(result.deleted_packs, 'pack')}, "
        f"{show_size(result.deleted_bytes)}."
    )
    if result.waiting_packs:
        waiting = f"{plural(result.waiting_packs, 'pack')}, {show_size(result.waiting_bytes)}"
        tell(f"In quarantine: {waiting}; a later gc deletes them, --undelete brings them back.")
    if result.starved_packs:
        tell(
            f"Left, for the disk has no room for a copy of what is in use in them: "
            f"{plural(result.starved_packs, 'pack')}; "
            "a gc with --grace 0, or when there is room, goes on with them."
        )
    if result.busy_packs:
        tell(f"Left for later, for somebody writes to them: {plural(result.busy_packs, 'pack')}.")


@verb("check", bare=True, has_names=False)
@click.option(
    "--read-data", is_flag=True, help="Also decompress every chunk and compute its id again."
)
@click.option("--quick", is_flag=True, help="Do not read packs, only compare their lengths.")
@click.option(
    "--repair",
    is_flag=True,
    help="First index stored objects, and drop missing ones from the index.",
)
@click.option(
    "--accept",
    is_flag=True,
    help="Accept that the store is older than acknowledged here; no later check reports that.",
)
@json_option
@click.pass_context
def check(
    context: click.Context, read_data: bool, quick: bool, repair: bool, accept: bool, as_json: bool
) -> None:
    """Verify every stored byte and every version.

    The exit status is 1 if anything is wrong.
    """
    if read_data and quick:
        raise click.UsageError("--read-data and --quick exclude each other")
    from volfs.volume.check import check_store
    from volfs.volume.recovery import repair_store

    with opened_store() as store:
        repaired, leases = None, []
        if repair:
            from volfs.daemon.sessions.mend import mend_leases

            leases = mend_leases(store)
            with progress_bar("Repairing") as report:
                repaired = repair_store(store, report)
        with progress_bar("Checking") as report:
            result = check_store(store, report, read_data=read_data, quick=quick)
        missed = store.care.find_missed()
        if accept:
            store.care.accept_missed()
    tables = _check_tables()
    if as_json:
        mended = {"leases": [lease._asdict() for lease in leases]}
        repairs = {} if repaired is None else {"repaired": repaired._asdict() | mended}
        found = {"missed": missed or None} | ({"tables": tables._asdict()} if tables else {})
        print_json(_check_as_json(result) | found | repairs)
    else:
        if repaired is not None:
            _print_repair(repaired, leases)
        _print_check(result)
        if accept:
            say("Accepted: the store is older." if missed else "Accepted: nothing.")
        _print_tables(tables)
    if not result.is_clean or (tables and tables.error):
        context.exit(1)


class TablesCheck(NamedTuple):
    """What a look at the server of Dicts and Queues has found."""

    address: str
    warnings: list[str]
    error: str | None


def _check_tables() -> TablesCheck | None:
    """Look at the server that ``VOLFS_TABLES`` names; None if it names none."""
    from volfs.errors import VolfsError
    from volfs.store.redis.address import find_address
    from volfs.store.redis.care import find_risks

    address = find_address()
    if address is None:
        return None
    try:
        return TablesCheck(address.text, find_risks(address), None)
    except VolfsError as error:
        return TablesCheck(address.text, [], str(error))


def _print_tables(tables: TablesCheck | None) -> None:
    if tables is None:
        return
    for warning in tables.warnings:
        answer(f"tables {tables.address}: warning: {warning}")
    if tables.error:
        answer(tables.error)


def _print_leases(leases: list[MendedLease]) -> None:
    for session, outcome, reason in leases:
        say(f"Lease of {session or 'a session'} {outcome}: {reason}.")


def _print_repair(result: RepairReport, leases: list[MendedLease]) -> None:
    _print_leases(leases)
    if not (result.has_changed or leases):
        say("Repaired: nothing.")
    for count, what in (
        (result.found_packs, "packs found that the index did not know"),
        (result.indexed_objects, "objects indexed"),
        (result.rewritten_packs, "damaged packs rewritten, the old ones are in quarantine"),
        (result.forgotten_packs, "packs whose files are gone"),
        (result.lost_objects, "objects lost"),
        (result.mended_heads, "heads mended"),
        (result.mended_counters, "counters made anew"),
        (result.mended_logs, "logs of the bucket, or what lies beside them"),
        (result.mended_rows, "damaged rows made again or dropped"),
        (result.mended_names, "names that the record of names lacked, or damaged lines of it"),
        (result.busy_packs, "damaged packs left, for somebody writes to them; repair again then"),
    ):
        if count:
            say(f"Repaired: {count} {what}.")


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
        "notices": [item._asdict() for item in result.notices],
        "oddities": [item._asdict() for item in result.oddities],
    }


def _print_check(result: CheckReport) -> None:
    for damage in result.damage:
        answer(f"damage: {damage.where}: {damage.problem}")
    for problem in result.problems:
        answer(f"{problem.volume}: {_show_versions(problem)}: {problem.path}: {problem.problem}")
    for notice in result.notices:
        answer(f"{notice.volume}: version {notice.version}: {notice.notice}")
    for oddity in result.oddities:
        answer(f"note: {oddity.where}: {oddity.what}")
    checked = (
        f"{plural(result.volumes, 'volume')}, {plural(result.versions, 'version')}, "
        f"{show_size(result.bytes)}"
    )
    found = len(result.damage) + len(result.problems)
    answer(f"Checked {checked}: " + (plural(found, "problem") if found else "no problems."))


def _show_versions(problem: Problem) -> str:
    """The versions of a problem as text: ``version 3``, ``versions 3, 5-9``."""
    runs: list[list[int]] = []
    for version in problem.versions:
        if runs and version == runs[-1][1] + 1:
            runs[-1][1] = version
        else:
            runs.append([version, version])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"version {shown}" if len(problem.versions) == 1 else f"versions {shown}"


@verb("upgrade", bare=True, has_names=False)
@click.option(
    "--rewrite",
    is_flag=True,
    help="Store anew what a former volfs stored, so that parts of it can be read alone.",
)
@click.option(
    "--grace",
    type=Duration(),
    metavar="DURATION",
    default="1d",
    help="With --rewrite: how long the former packs stay in quarantine. Default: 1d.",
)
@json_option
def upgrade(rewrite: bool, grace: float, as_json: bool) -> None:
    """Bring a store of a former volfs to today's format.

    The former volfs will refuse it. No process may have the store open when it begins. Each volume
    gets a version in which only counts and sums change. With --rewrite the disk needs room for all
    data once more until the grace is over.
    """
    from volfs.volume.upgrade import upgrade_store

    with progress_bar("Upgrading") as report:
        result = upgrade_store(store_url(), rewrite=rewrite, grace=grace, report=report)
    if as_json:
        collected = result.collected._asdict() if result.collected else None
        print_json(result._asdict() | {"collected": collected})
        return
    say("The store has today's format." if result.was_former else "The store had today's format.")
    for name, version in result.converted.items():
        say(f"Version {version} of {name} has all sums.")
    if result.collected:
        _print_gc(result.collected, dry_run=False)


@verb("rebuild-index", bare=True, has_names=False)
@json_option
def rebuild_index(as_json: bool) -> None:
    """Make the index again from the packs. No process may use the store meanwhile."""
    from volfs.daemon.sessions.mend import make_missing_leases
    from volfs.volume.recovery import rebuild_store

    with progress_bar("Rebuilding") as report:
        result, recovered = rebuild_store(store_url(), report)
    with opened_store() as store:
        leases = make_missing_leases(store)
    if as_json:
        volumes = [_recovered_as_json(item) for item in recovered]
        made = [lease._asdict() for lease in leases]
        print_json(result._asdict() | {"recovered": volumes, "leases": made})
        return
    say(
        f"Indexed {plural(result.objects, 'object')} in {plural(result.packs, 'pack')}, "
        f"{show_size(result.bytes)}."
    )
    if result.damaged_packs:
        say(f"Damaged: {plural(result.damaged_packs, 'pack')}; see volfs check --repair.")
    if result.lost_rows:
        say(f"Lost with the former index: {plural(result.lost_rows, 'row')}, maybe tags.")
    if result.damaged_names:
        lines = plural(result.damaged_names, "line")
        say(f"Damaged: {lines} of names.log: names and tags from there may be older ones.")
    _print_leases(leases)
    for item in recovered:
        left_out = f", without {item.incomplete}" if item.incomplete else ""
        say(f"Recovered volume {item.volume.full_name} to version {item.versions[0]}{left_out}.")
        for tag, version in item.lost_tags.items():
            say(f"Lost: tag {tag} of version {version} of {item.volume.full_name}.")


def _recovered_as_json(item: Recovered) -> dict[str, Any]:
    return {
        "volume": item.volume.name,
        "environment": item.volume.environment,
        "id": item.volume.id,
        "versions": item.versions,
        "incomplete": item.incomplete,
        "lost_tags": item.lost_tags,
    }
