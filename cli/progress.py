"""Progress bars on a terminal for long work, with rate and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volfs.model.progress import Progress, Report


@contextmanager
def progress_bar(what: str, things: str = "files") -> Iterator[Report]:
    """A report that draws a bar on stderr. If stderr is no terminal, it does nothing.

    ``things`` are what the report counts beside bytes.
    """
    if sys.stderr.isatty():
        with _bar(what, things) as report:
            yield report
    else:
        from volfs.model.progress import report_nothing

        yield report_nothing


@contextmanager
def _bar(what: str, things: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counted]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, counted="")

        def report(progress: Progress) -> None:
            counted = (
                f"{progress.files}/{progress.files_total} {things}" if progress.files_total else ""
            )
            bar.update(
                task, completed=progress.bytes, total=progress.bytes_total or None, counted=counted
            )

        yield report
