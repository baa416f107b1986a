"""The columns of listings: how a value is shown, and which columns a terminal has room for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from volfs.model.text import show

GAP = 2
"""The spaces between two columns."""
COMFORT, LEAST = 36, 12
"""The widths of a column that is shortened: other columns are left out before it is narrower than
COMFORT, and a table with a narrower one than LEAST is not drawn."""
ELLIPSIS = "…"
_NOTHING = ("", "-")


def show_value(value: object) -> str:
    """A value as text, escaped so that different values look different, and each is one value."""
    return show(str(value))


class Column(NamedTuple):
    """A title, and the function that shows a value. The JSON key is the title in snake_case."""

    title: str
    show: Callable[..., str] = show_value
    rank: int = 0
    """A column of rank 0 is always there. Of the others, the highest rank is left out first."""
    cut: Literal["", "middle", "end"] = ""
    """Where a value may be shortened; nowhere if it is empty."""
    of: tuple[str, ...] = ()
    """The keys of columns that this one sums up. Such a column is only on terminals, in their
    place, and its functions get their values as arguments."""
    colour: Callable[..., str] | None = None
    """The colour of a value, by its meaning; an empty text for none."""

    @property
    def key(self) -> str:
        return make_key(self.title)


def make_key(title: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "_", title).lower()


def list_summed(columns: Iterable[Column]) -> set[str]:
    """The keys of the columns that other columns sum up."""
    return {key for column in columns for key in column.of}


def find_columns(columns: Sequence[Column], keys: Sequence[str]) -> list[Column]:
    """The columns with these keys, in their order. KeyError for a key that is none of theirs."""
    known = {column.key: column for column in sorted(columns, key=lambda column: not column.of)}
    return [known[key] for key in keys]


class Layout(NamedTuple):
    """The columns of a table, by their numbers, and their widths."""

    columns: list[int]
    widths: list[int]


def choose_layout(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> Layout | None:
    """The columns that a terminal of this width has room for. None if even those of rank 0 are too
    wide for it."""
    natural = find_widths(columns, rows)
    chosen = list_filled(columns, rows)
    while _needed(columns, natural, chosen, COMFORT) > width:
        last = max(reversed(chosen), key=lambda at: columns[at].rank)
        if columns[last].rank == 0 or len(chosen) == 1:
            break
        chosen.remove(last)
    if _needed(columns, natural, chosen, LEAST) > width:
        return None
    return Layout(chosen, _share(columns, natural, chosen, width))


def find_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """The width that each column has if nothing is shortened."""
    from rich.cells import cell_len

    return [
        max(map(cell_len, (column.title, *(row[at] for row in rows))))
        for at, column in enumerate(columns)
    ]


def list_filled(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """The numbers of the columns that have a value in any row; of all if there are no rows."""
    filled = [at for at in range(len(columns)) if any(row[at] not in _NOTHING for row in rows)]
    return filled or list(range(len(columns)))


def _needed(
    columns: Sequence[Column], natural: Sequence[int], chosen: Sequence[int], least: int
) -> int:
    return sum(_lower(columns[at], natural[at], least) for at in chosen) + GAP * (len(chosen) - 1)


def _lower(column: Column, natural: int, least: int) -> int:
    return min(natural, max(least, len(column.title))) if column.cut else natural


def _share(
    columns: Sequence[Column], natural: Sequence[int], chosen: Sequence[int], width: int
) -> list[int]:
    """The widths of the chosen columns. Those that are shortened share the room that is left."""
    widths = {at: _lower(columns[at], natural[at], LEAST) for at in chosen}
    room = width - sum(widths.values()) - GAP * (len(chosen) - 1)
    while room > 0 and (narrow := [at for at in chosen if widths[at] < natural[at]]):
        for at in narrow[:room]:
            more = min(max(1, room // len(narrow)), natural[at] - widths[at])
            widths[at] += more
            room -= more
    return [widths[at] for at in chosen]


def shorten(text: str, width: int, cut: str) -> str:
    """The text in at most ``width`` cells of a terminal, with an ellipsis where it was cut."""
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return text
    if cut != "middle":
        return _take(text, width - 1) + ELLIPSIS
    # The end of a path says more than its beginning.
    end = _take(text[::-1], (width - 1) * 2 // 3)[::-1]
    return _take(text, width - 1 - cell_len(end)) + ELLIPSIS + end


def _take(text: str, width: int) -> str:
    """The beginning of a text that fills at most ``width`` cells."""
    from rich.cells import cell_len

    at = used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:at]
    return text[: at + 1]
