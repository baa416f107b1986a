"""The output of commands: values as text, facts, JSON, questions. Listings: ``listings.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.model.sizes import format_size
from volfs.model.text import show, show_line, to_text
from volfs_cli.columns import Column
from volfs_cli.terminal import naming_output, say, write_line

if TYPE_CHECKING:
    from datetime import datetime

    from volfs.volume.commit import Published

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_overridden(rows: Iterable[tuple[str, str, str]], *, err: bool = False) -> None:
    """Print the changes of others that a commit replaced: the path, what they did, what we did."""
    for path, theirs, ours in rows:
        did = f"others {theirs} it, we {ours} it; theirs stays in the history"
        say(f"overridden: {show(path)}: {did}", err=err)


def note_overridden(published: Published) -> None:
    """Say on stderr which changes others committed a moment before us, and are replaced now."""
    from volfs.model.names import join_path

    rows = ((as_text(join_path(it.path)), it.theirs, it.ours) for it in published.overridden)
    print_overridden(rows, err=True)


def show_row(columns: Sequence[Column], row: Sequence[Any]) -> list[str]:
    """The texts of a row, escaped so that no value looks like another column or row."""
    pairs = zip(columns, row, strict=True)
    return [show_line(c.show(*value) if c.of else c.show(value)) for c, value in pairs]


def row_as_json(columns: Sequence[Column], row: Sequence[Any]) -> dict[str, Any]:
    return {
        column.key: json_time(value) if column.show is show_time else value
        for column, value in zip(columns, row, strict=True)
    }


def print_json(value: object) -> None:
    import json

    write_line(json.dumps(value, indent=2))


def print_facts(columns: Sequence[Column], row: Sequence[Any], *, as_json: bool) -> None:
    """Print one object: a line for each fact."""
    if as_json:
        print_json(row_as_json(columns, row))
    else:
        print_lines(columns, row)


def print_lines(columns: Sequence[Column], row: Sequence[Any], *, empty: bool = True) -> None:
    """Print a line for each value, with its title."""
    width = max(len(column.title) for column in columns) + 1
    for column, value in zip(columns, show_row(columns, row), strict=True):
        if value or empty:
            write_line(f"{column.title + ':':<{width}} {value}")


def show_size(size: int | None) -> str:
    """A size as Modal shows it: ``12 B``, ``1.5 KiB``, ``2.0 GiB``."""
    return "-" if size is None else format_size(size)


def show_growth(size: int) -> str:
    """The growth of a size: ``+1.5 KiB``, ``-12 B``, ``0 B``."""
    sign = "+" if size > 0 else "-" if size < 0 else ""
    return sign + show_size(abs(size))


def show_rate(per_second: float) -> str:
    """A number for each second, with at most four characters before the unit."""
    if per_second >= 10_000:
        return f"{per_second / 1000:.0f}k"
    return f"{per_second:.0f}" if per_second >= 10 or not per_second else f"{per_second:.1f}"


def show_duration(us: float | None) -> str:
    """A time in its own unit: ``64 us``, ``2.0 ms``, ``1.5 s``."""
    if not us:
        return "-"
    if us < 1000:
        return f"{us:.0f} us"
    return f"{us / 1000:.1f} ms" if us < 1_000_000 else f"{us / 1_000_000:.1f} s"


def show_share(share: float | None) -> str:
    """A share in percent."""
    return "-" if share is None else f"{100 * share:.0f}%"


def show_byte_rate(per_second: float) -> str:
    """Bytes for each second."""
    return show_size(round(per_second)) if per_second else "0"


def show_count(count: int | None) -> str:
    return "-" if count is None else str(count)


def show_time(nanoseconds: int) -> str:
    return _local(nanoseconds).strftime("%Y-%m-%d %H:%M %Z")


def json_time(nanoseconds: int) -> str:
    return _local(nanoseconds).isoformat(sep=" ", timespec="seconds")


def show_seconds(seconds: float | None) -> str:
    return f"{seconds:g} s" if seconds else "off"


def show_age(seconds: float) -> str:
    """An age in the largest unit that fits: ``12 s``, ``3 h``."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def show_flag(flag: bool | None) -> str:
    return "-" if flag is None else ("yes" if flag else "no")


def _local(nanoseconds: int) -> datetime:
    from volfs.volume.history import to_local

    return to_local(nanoseconds)


def one_line(text: str) -> str:
    """A message for a listing, with spaces in place of its line feeds."""
    return " ".join(text.split())


def as_text(path: bytes) -> str:
    """A path for JSON. Bytes that are not UTF-8 become lone surrogates, as in Python."""
    return to_text(path)


def print_paths(paths: Sequence[bytes]) -> None:
    """Print bare paths, byte for byte."""
    sys.stdout.flush()
    out = sys.stdout.buffer
    with naming_output():
        for path in paths:
            out.write(path + b"\n")
        out.flush()


def confirm(question: str, yes: bool) -> None:
    """Ask before an action that cannot be undone, as Modal's client does."""
    if yes:
        return
    question = show_line(question)
    if not sys.stdin.isatty():
        click.echo(f"{question} [y/N]: ", err=True)
        raise click.ClickException(
            "Aborted: no interactive terminal detected. Rerun with --yes (-y) to skip confirmation."
        )
    click.confirm(question, abort=True)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


NUMBERS = (
    show_size,
    show_growth,
    show_count,
    show_rate,
    show_duration,
    show_share,
    show_byte_rate,
)
