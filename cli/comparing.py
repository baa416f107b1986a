"""diff: what differs between versions, or between a mount and the version that it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from volfs_cli.columns import Column
from volfs_cli.files import KINDS, opened_version
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.options import verb
from volfs_cli.output import as_text, row_as_json, show_count, show_growth, show_size
from volfs_cli.stores import (
    complete_version,
    complete_volume,
    environment_for,
    opened_volume,
    store_for,
)
from volfs_cli.targets import is_mounted_there
from volfs_cli.terminal import say, write_coloured

if TYPE_CHECKING:
    from volfs.control.protocol import ChangesResult
    from volfs.model.changes import Change, ChangeKind
    from volfs.model.manifest import Snapshot
    from volfs.model.tree import GetTree

_DIFF = (
    Column("Change"),
    Column("Path", cut="middle"),
    Column("Type", rank=2),
    Column("Old size", show_size, rank=3),
    Column("Size", show_size, rank=1),
    Column("Attributes", ", ".join, rank=4),
)
_STAT = (
    Column("Change"),
    Column("Files", show_count),
    Column("Directories", show_count),
    Column("Bytes", show_growth),
)
COLOURS = {"A": "green", "D": "red", "M": "yellow", "T": "magenta", "U": "blue"}


class _Row(NamedTuple):
    """A changed path. Sizes are None for directories and for what is absent."""

    kind: ChangeKind
    path: str
    type: str
    old_size: int | None
    new_size: int | None
    attributes: Sequence[str]

    @property
    def is_directory(self) -> bool:
        return self.type == "dir"

    @property
    def values(self) -> tuple[Any, ...]:
        return (self.kind.words, *self[1:5], list(self.attributes))


def _complete(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    complete = complete_version if context.params.get("words") else complete_volume
    return complete(context, argument, incomplete)


@verb("diff")
@click.argument(
    "words", metavar="VOLUME|MOUNTPOINT [A [B]]", nargs=-1, required=True, shell_complete=_complete
)
@click.option("--stat", is_flag=True, help="Only count files, directories and bytes.")
@listing_options(*_DIFF, *_STAT)
def diff(words: tuple[str, ...], stat: bool, as_json: bool) -> None:
    """Show the paths that differ between two versions.

    With A, or A and B: between version A and version B of the volume (the newest if B is not
    named). Without versions: what a mount has not committed. With V1@A V2@B: between version A of
    the volume V1 and version B of the volume V2; `@head` may be left out of one of them.

    A means added, D deleted, M modified, T another type of file, U only attributes.
    """
    if any(map(_has_version, words)):
        if len(words) > 2:
            raise click.UsageError("VOLUME@VERSION: name two of them at most")
        first, second = (*words, words[0].rpartition("@")[0])[:2]
        rows: Iterable[_Row] = _compare_volumes(_split(first), _split(second))
    elif len(words) == 1:
        rows = _list_uncommitted(words[0])
    elif len(words) > 3:
        raise click.UsageError("two versions can be compared, not more")
    else:
        rows = _compare_versions(words[0], words[1], (*words, "head")[2])
    if stat:
        print_listing(_STAT, _tally(rows), as_json=as_json)
    elif as_json:
        print_listing(_DIFF, [row.values for row in rows], as_json=True)
    else:
        for row in rows:
            _print_row(row)


def print_change(change: Change) -> None:
    """Print a change as ``volfs diff`` does."""
    _print_row(_as_row(change))


def as_json_row(change: Change) -> dict[str, Any]:
    """A change as ``volfs diff --json`` has it."""
    return row_as_json(_DIFF, _as_row(change).values)


def _print_row(row: _Row) -> None:
    write_coloured(f"{row.kind.value} {_show_path(row.path)}", COLOURS[row.kind.value])


def _has_version(word: str) -> bool:
    return "@" in word and not is_mounted_there(word)


def _split(word: str) -> tuple[str, str]:
    """The volume and the version of VOLUME@VERSION. UsageError."""
    if not _has_version(word):
        return word, "head"
    volume, _, version = word.rpartition("@")
    if not (volume and version):
        raise click.UsageError(f"{word}: use VOLUME@VERSION")
    return volume, version


def _compare_versions(volume: str, old: str, new: str) -> Iterator[_Row]:
    with (
        opened_volume(volume) as (store, record),
        opened_version(store, record, old) as (reader, before),
        opened_version(store, record, new) as (_, after),
    ):
        yield from _iter_rows(reader.get_tree, before, after)


def _compare_volumes(first: tuple[str, str], second: tuple[str, str]) -> Iterator[_Row]:
    with _opened(*first) as (get, before), _opened(*second) as (get_other, after):
        yield from _iter_rows(_either(get, get_other), before, after)


@contextmanager
def _opened(volume: str, version: str) -> Iterator[tuple[GetTree, Snapshot]]:
    with (
        opened_volume(volume) as (store, record),
        opened_version(store, record, version) as (reader, snapshot),
    ):
        yield reader.get_tree, snapshot


def _either(get: GetTree, get_other: GetTree) -> GetTree:
    """Trees of two volumes, which need not be in one store."""
    from volfs.errors import DataError

    def find(oid: Any) -> Any:
        try:
            return get(oid)
        except DataError:
            return get_other(oid)

    return find


def _iter_rows(get: GetTree, before: Snapshot, after: Snapshot) -> Iterator[_Row]:
    from volfs.model.changes import iter_changes

    return map(_as_row, iter_changes(get, before, after))


def _as_row(change: Change) -> _Row:
    from volfs.model.names import join_path

    return _Row(
        change.kind,
        as_text(join_path(change.path)),
        KINDS[change.entry.kind],
        change.old_size,
        change.new_size,
        change.attributes,
    )


def _list_uncommitted(target: str) -> Iterable[_Row]:
    from volfs.daemon.named_mounts import get_target
    from volfs.errors import NotFoundError
    from volfs.model.changes import ChangeKind

    try:
        mount = get_target(target, store_for(target), environment_for(target))
    except NotFoundError as error:
        hint = f"`volfs diff {target} A [B]` compares versions"
        raise NotFoundError(f"{error}; {hint}") from None
    found: ChangesResult = mount.list_changes()
    if not found.changes:
        say(f"Nothing is uncommitted at {mount.mount.path} (version {found.version}).", err=True)
    return [
        _Row(ChangeKind(it.letter), it.path, KINDS[it.kind], it.old_size, it.size, it.attributes)
        for it in found.changes
    ]


def _tally(rows: Iterable[_Row]) -> list[tuple[Any, ...]]:
    from volfs.model.changes import tally_changes

    tallies = tally_changes(rows).items()
    return [(kind.words, it.files, it.directories, it.bytes) for kind, it in tallies]


def _show_path(path: str) -> str:
    from volfs.model.names import show_path
    from volfs.model.text import to_bytes

    return show_path(to_bytes(path))
