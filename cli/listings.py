"""Listings: tables on a terminal, plain lines elsewhere, JSON on request.

A table has the columns that the terminal has room for (``columns.py``). A plain listing has all
columns of all rows: one line per row, a tab between columns, and no header.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs_cli.columns import (
    GAP,
    Column,
    Layout,
    choose_layout,
    find_columns,
    find_widths,
    list_filled,
    list_summed,
    make_key,
    shorten,
)
from volfs_cli.output import (
    NUMBERS,
    json_option,
    print_json,
    print_lines,
    row_as_json,
    show_row,
)
from volfs_cli.terminal import answer, write_line

if TYPE_CHECKING:
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])
_WIDE, _CHOSEN = "volfs.wide", "volfs.columns"
_WHOLE: dict[str, Any] = {"soft_wrap": True, "highlight": False}
"""How lines are printed: as they are, for they fit already."""


def listing_options(*columns: Column) -> Callable[[F], F]:
    """Add the options of a listing with these columns: ``--json``, ``--wide`` and ``-o``."""

    def decorate(command: F) -> F:
        wide = click.option(
            "--wide",
            is_flag=True,
            expose_value=False,
            callback=_remember_wide,
            help="On a terminal: all columns, and nothing shortened.",
        )
        choose = click.option(
            "-o",
            "--columns",
            metavar="COLUMNS",
            expose_value=False,
            callback=partial(_remember_columns, columns),
            shell_complete=partial(_complete_columns, columns),
            help="Only these columns, in this order: their names in JSON, with commas between.",
        )
        return json_option(wide(choose(command)))

    return decorate


def _remember_wide(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[_WIDE] = value


def _remember_columns(
    columns: Sequence[Column], context: click.Context, option: click.Parameter, value: str | None
) -> None:
    if value is None:
        return
    keys = [make_key(word.strip()) for word in value.split(",")]
    known = list(dict.fromkeys(column.key for column in columns))
    for key in keys:
        if key not in known:
            raise click.UsageError(f"-o {value}: no column '{key}'; there are {','.join(known)}")
    context.meta[_CHOSEN] = keys


def _complete_columns(
    columns: Sequence[Column], context: click.Context, option: click.Parameter, incomplete: str
) -> list[str]:
    begun, _, word = incomplete.rpartition(",")
    before = f"{begun}," if begun else ""
    keys = dict.fromkeys(column.key for column in columns)
    return [f"{before}{key}" for key in keys if key.startswith(word)]


def print_listing(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, as_json: bool, title: str = ""
) -> None:
    """Print rows with one value for each column. Times are nanoseconds, and sizes are bytes.

    A column that sums others up has no value in the rows.
    """
    rows = [_add_sums(columns, row) for row in rows]
    chosen = _choose(columns, on_terminal=sys.stdout.isatty() and not as_json)
    places = [columns.index(column) for column in chosen]
    rows = [[row[at] for at in places] for row in rows]
    if as_json:
        print_json([row_as_json(chosen, row) for row in rows])
    elif sys.stdout.isatty():
        _print_table(chosen, rows, title)
    else:
        for row in rows:
            write_line("\t".join(show_row(chosen, row)))


def _add_sums(columns: Sequence[Column], row: Sequence[Any]) -> list[Any]:
    """The row with the values of the columns that sum others up: tuples of those columns'
    values."""
    values = iter(row)
    own = {column.key: next(values) for column in columns if not column.of}
    return [tuple(own[key] for key in c.of) if c.of else own[c.key] for c in columns]


def _choose(columns: Sequence[Column], *, on_terminal: bool) -> list[Column]:
    """The columns that were asked for; else on a terminal those that sum up, elsewhere the
    others."""
    meta = _meta()
    if keys := meta.get(_CHOSEN):
        return _find_chosen(columns, keys)
    if on_terminal and not meta.get(_WIDE):
        summed = list_summed(columns)
        return [column for column in columns if column.of or column.key not in summed]
    return [column for column in columns if not column.of]


def _find_chosen(columns: Sequence[Column], keys: list[str]) -> list[Column]:
    try:
        return find_columns(columns, keys)
    except KeyError as error:
        raise click.UsageError(f"-o: this listing has no column {error}") from None


def has_choice() -> bool:
    """Whether the running command was given the columns of its listing."""
    return _CHOSEN in _meta()


def _meta() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return context.meta if context else {}


def _print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], title: str) -> None:
    """Print a table of the columns that the terminal has room for. If it is too narrow even for
    the few that matter, print a line for each value."""
    from rich.console import Console

    console = Console()
    shown = [show_row(columns, row) for row in rows]
    if _meta().get(_WIDE) or _meta().get(_CHOSEN):
        filled = list_filled(columns, shown) if _meta().get(_WIDE) else [*range(len(columns))]
        widths = find_widths(columns, shown)
        layout = Layout(filled, [widths[at] for at in filled])
    else:
        found = choose_layout(columns, shown, console.width)
        if found is None:
            _print_blocks(columns, rows, title)
            return
        layout = found
    if title:
        answer(title)
    with console.capture() as printed:
        for line in _make_lines(columns, rows, shown, layout):
            console.print(line, **_WHOLE)
    write_line(printed.get().rstrip("\n"))


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int) -> list[Text]:
    """The lines of a table of the columns that there is room for. Where there is room for none,
    they are too long."""
    shown = [show_row(columns, row) for row in rows]
    layout = choose_layout(columns, shown, width)
    if layout is None:
        filled = [at for at in list_filled(columns, shown) if columns[at].rank == 0]
        widths = find_widths(columns, shown)
        layout = Layout(filled, [widths[at] for at in filled])
    return _make_lines(columns, rows, shown, layout)


def _make_lines(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    shown: Sequence[Sequence[str]],
    layout: Layout,
) -> list[Text]:
    lines = [_make_line([c.title for c in columns], columns, layout, "bold")]
    for row, texts in zip(rows, shown, strict=True):
        lines.append(_make_line(texts, columns, layout, row))
    return lines


def _make_line(
    texts: Sequence[str], columns: Sequence[Column], layout: Layout, style: str | Sequence[Any]
) -> Text:
    """One line of a table. The style is that of the headings, or comes from the row's values."""
    from rich.cells import cell_len
    from rich.text import Text

    line = Text()
    for at, width in zip(*layout, strict=True):
        column = columns[at]
        text = shorten(texts[at], width, column.cut)
        fill = " " * (width - cell_len(text))
        line.append(fill if column.show in NUMBERS else "")
        line.append(text, style if isinstance(style, str) else _find_colour(column, style[at]))
        line.append(("" if column.show in NUMBERS else fill) + " " * GAP)
    line.rstrip()
    return line


def _find_colour(column: Column, value: Any) -> str:
    if column.colour is None:
        return ""
    return column.colour(*value) if column.of else column.colour(value)


def _print_blocks(columns: Sequence[Column], rows: Sequence[Sequence[Any]], title: str) -> None:
    """Print each row as the lines of its values, without empty ones, and an empty line between two
    rows."""
    if title:
        answer(title)
    for number, row in enumerate(rows):
        if number or title:
            answer("")
        print_lines(columns, row, empty=False)
