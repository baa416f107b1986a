"""doctor: whether this machine, and the store in force, have what volfs needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from volfs.model.text import show
from volfs_cli.options import verb
from volfs_cli.output import json_option, plural, print_json, show_size
from volfs_cli.stores import store_url
from volfs_cli.terminal import say, write_coloured

if TYPE_CHECKING:
    from volfs.system.machine_facts import MachineFact

LITTLE = 1 << 30
"""Bytes of room below which a store is warned of."""
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


class Diagnosis(NamedTuple):
    """One line: what was looked at, how it is, and what to do if it is not well."""

    check: str
    state: str
    """``ok``, ``warning`` for what only some commands need, or ``problem``."""
    found: str
    advice: str = ""


@verb("doctor", bare=True, has_names=False)
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check whether this machine and the store are fit.

    Each line is ok, or says what to do. Nothing is changed. The exit status is 1 if there is a
    problem; warnings are about what only some commands need.
    """
    findings: list[Diagnosis] = []
    for look in (_look_at_machine, _look_at_store, _look_at_mounts, _look_at_overlays):
        findings += list(_guarded(look))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            _print(finding, width)
        _sum_up(findings)
    if any(finding.state == "problem" for finding in findings):
        context.exit(1)


def _print(finding: Diagnosis, width: int) -> None:
    advice = f": {finding.advice}" if finding.advice else ""
    line = f"{finding.state:7}  {finding.check:<{width}}  {show(finding.found)}{advice}"
    write_coloured(line, _COLOURS[finding.state])


def _sum_up(findings: list[Diagnosis]) -> None:
    counts = [
        plural(count, state)
        for state in ("problem", "warning")
        if (count := sum(finding.state == state for finding in findings))
    ]
    say(", ".join(counts) + "." if counts else "All is well.", err=True)


def _guarded(look: Callable[[], Iterator[Diagnosis]]) -> Iterator[Diagnosis]:
    """What a look finds; an error of it is a problem, and ends this look alone."""
    from volfs.errors import VolfsError

    try:
        yield from look()
    except (VolfsError, OSError) as error:
        what = look.__name__.removeprefix("_look_at_")
        yield Diagnosis(what, "problem", str(error), "mend that, then look again")


def _look_at_machine() -> Iterator[Diagnosis]:
    from volfs.system.machine_facts import iter_facts

    return map(_as_finding, iter_facts())


def _as_finding(fact: MachineFact) -> Diagnosis:
    state = "ok" if not fact.advice else "problem" if fact.is_needed else "warning"
    return Diagnosis(fact.name, state, fact.found, fact.advice)


# --- the store ------------------------------------------------------------------


def _look_at_store() -> Iterator[Diagnosis]:
    from volfs.errors import NotAStoreError, VolfsError
    from volfs.store.address import find_local_path
    from volfs.store.registry import open_store

    url = store_url()
    try:
        store = open_store(url)
    except NotAStoreError as error:
        yield Diagnosis("store", "warning", str(error))
        return
    except VolfsError as error:
        yield Diagnosis("store", "problem", f"{url}: {error}", "mend that, then look again")
        return
    try:
        count = sum(1 for _ in store.refs.list_volumes())
        yield Diagnosis("store", "ok", f"{url}: {plural(count, 'volume')}")
        missed = store.care.find_missed()
        if missed:
            yield Diagnosis(
                "index", "problem", missed, "see operations.md, or volfs check --accept"
            )
        space = store.care.find_space()
    finally:
        store.close()
    place = find_local_path(url)
    if place is None:
        yield from _look_at_bucket(url)
        return
    yield from _look_at_disk(str(place), space.free if space else None)


def _look_at_disk(place: str, free: int | None) -> Iterator[Diagnosis]:
    from volfs.system.mountinfo import find_fs_type

    kind = find_fs_type(place)  # Opening the store has refused what machines share.
    yield Diagnosis("disk", "ok", kind or "a file system that the kernel does not list")
    if free is not None:
        little = free < LITTLE
        advice = "`volfs gc`, `volfs expire`, or a larger disk" if little else ""
        yield Diagnosis("room", "warning" if little else "ok", f"{show_size(free)} free", advice)


def _look_at_bucket(url: str) -> Iterator[Diagnosis]:
    from volfs.store.distributed.place.bucket_opening import open_store_bucket
    from volfs.store.distributed.place.store_facts import find_facts

    bucket = open_store_bucket(url)
    try:
        facts = find_facts(bucket, url)
    finally:
        bucket.close()
    found = f"reachable, {facts.service}" if facts else "reachable"
    yield Diagnosis("bucket", "ok", f"{found}; `volfs store probe` tests what it promises")


# --- mounts and overlays --------------------------------------------------------


def _look_at_mounts() -> Iterator[Diagnosis]:
    from volfs.control.mount_client import list_mounts
    from volfs.control.mount_liveness import State, look_at_all

    mounts = list_mounts()
    bad = 0
    for mount, seen in zip(mounts, look_at_all(mounts), strict=True):
        path = mount.mount.path
        if seen.state is State.DEAD:
            bad += 1
            yield Diagnosis(
                "mount", "problem", f"{path}: its daemon is dead", f"volfs umount {path}"
            )
        elif seen.status is None:
            bad += 1
            yield Diagnosis("mount", "warning", f"{path}: {seen.state.value}", "see volfs status")
        elif seen.status.store_replaced:
            bad += 1
            advice = "see operations.md"
            yield Diagnosis("mount", "problem", f"{path}: its store was replaced", advice)
    if not bad:
        yield Diagnosis("mounts", "ok", f"{plural(len(mounts), 'mount')}, none stale")


def _look_at_overlays() -> Iterator[Diagnosis]:
    from volfs.daemon.sessions.inspect import list_overlays
    from volfs.errors import NotAStoreError
    from volfs.store.registry import open_store

    try:
        store = open_store(store_url())
    except NotAStoreError:
        return
    try:
        left = [found for found in list_overlays(store) if found.state != "alive"]
    finally:
        store.close()
    for found in left:
        size = f"{plural(found.left.files, 'file')}, {show_size(found.left.bytes)}"
        text = f"{found.session.name}: {found.state}, {size}, of {found.session.volume}"
        advice = f"volfs overlays commit (or discard) {found.session.name}"
        yield Diagnosis("overlay", "warning", text, advice)
    if not left:
        yield Diagnosis("overlays", "ok", "none left by dead mounts")
