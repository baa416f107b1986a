"""Overlays of buckets: files that their mounts have not uploaded."""

from __future__ import annotations

from typing import Any

import click

from volfs.model.names import MAIN
from volfs.model.text import show
from volfs_cli.output import plural, print_json, show_size
from volfs_cli.terminal import say


def list_rows() -> list[tuple[Any, ...]]:
    """The rows for ``volfs overlays``."""
    from volfs.daemon.buckets.leftovers import list_left

    return [
        (
            left.name,
            left.facts.address,
            left.facts.mountpoint,
            left.state,
            None,
            round(left.age, 3),
            left.files,
            left.bytes,
            left.problem,
            MAIN,
        )
        for left in list_left()
    ]


def upload_if_bucket(name: str, secret: str | None, *, replaces: bool, as_json: bool) -> bool:
    """Upload the files that a dead mount left under a name. False if no bucket's mount left
    anything under it."""
    from volfs.daemon.buckets.leftovers import find_left, upload_left

    if find_left(name) is None:
        return False
    files, size, problems = upload_left(name, _read(secret), replaces=replaces)
    if as_json:
        print_json({"uploaded": files, "bytes": size, "problems": problems})
    else:
        say(f"Uploaded {plural(files, 'file')} ({show_size(size)}).")
    _end_with(problems, f"overlays commit: {name}", as_json=as_json)
    return True


def _end_with(problems: list[str], what: str, *, as_json: bool) -> None:
    """Say what could not be done, and end with status 1 if there is anything."""
    for problem in () if as_json else problems:
        say(f"volfs: {what}: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def discard_if_bucket(name: str) -> bool:
    from volfs.daemon.buckets.leftovers import discard_left, find_left

    left = find_left(name)
    if left is None:
        return False
    discard_left(name)
    what = f"{plural(left.files, 'file')}, {show_size(left.bytes)}"
    say(f"Discarded what a mount of {show(left.facts.address)} had not uploaded ({what}).")
    return True


def export_if_bucket(
    name: str, directory: str, secret: str | None, *, force: bool, as_json: bool
) -> bool:
    from volfs.daemon.buckets.leftovers import export_left, find_left

    if find_left(name) is None:
        return False
    files, size, problems = export_left(name, directory, _read(secret), force=force)
    if as_json:
        print_json({"files": files, "bytes": size, "problems": problems})
    else:
        say(f"Exported {plural(files, 'file')} ({show_size(size)}) to {show(directory)}.")
    _end_with(problems, "overlays export", as_json=as_json)
    return True


def _read(secret: str | None) -> dict[str, str] | None:
    from volfs_cli.secret_values import read_secrets

    return read_secrets([secret]) if secret else None
