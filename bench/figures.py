"""Figures: what was measured, against which target, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["met", "missed", ""]


@dataclass(frozen=True)
class FigureTarget:
    """A bound that a figure is to keep."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {show_number(self.limit)}"


@dataclass(frozen=True)
class Figure:
    """One measured number. ``samples`` are what ``value`` is the median of."""

    name: str
    value: float
    unit: str
    target: FigureTarget | None = None
    note: str = ""
    samples: list[float] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.value) else "missed"

    def as_json(self) -> dict[str, Any]:
        target = self.target and f"{self.target} {self.unit}"
        return asdict(self) | {"target": target, "verdict": self.verdict}


def median_figure(
    name: str,
    samples: Sequence[float],
    unit: str,
    target: FigureTarget | None = None,
    note: str = "",
) -> Figure:
    """The median of several runs, with its spread as the note unless there is another."""
    spread = f"{show_number(min(samples))} to {show_number(max(samples))}"
    spread += f" in {len(samples)} runs" if len(samples) > 1 else ""
    note = note or (spread if len(samples) > 1 else "")
    return Figure(name, statistics.median(samples), unit, target, note, list(samples))


def ratio_figure(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    target: FigureTarget | None = None,
    note: str = "",
) -> Figure:
    """Our median over theirs."""
    return Figure(name, statistics.median(ours) / statistics.median(theirs), "x", target, note=note)


def show_number(value: float) -> str:
    """Three digits that say something; thousands with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


HEADER = ("figure", "measured", "target", "", "")


def show_row(figure: Figure) -> tuple[str, ...]:
    measured = f"{show_number(figure.value)} {figure.unit}"
    target = str(figure.target) if figure.target else ""
    return figure.name, measured, target, figure.verdict, figure.note


def format_table(rows: Iterable[Sequence[str]]) -> str:
    """Columns of text; the first one to the left, numbers to the right."""
    lines = [HEADER, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADER))]
    shown = []
    for line in lines:
        name, measured, target, verdict, note = line
        cells = (
            name.ljust(widths[0]),
            measured.rjust(widths[1]),
            target.rjust(widths[2]),
            verdict.ljust(widths[3]),
            note,
        )
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)
