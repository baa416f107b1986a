"""The table of README.md: what each block showed. ``python -m tests.spec.table`` writes it.

A test says it by its mark, ``block(NUMBER, VERDICT)``, and its docstring.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.spec.blocks import BLOCKS

README = Path(__file__).with_name("README.md")
MODULES = [f"tests.spec.test_document_{number}" for number in range(5)]
VERDICTS = {
    "as written",
    "as written, beyond Modal",
    "as on Modal",
    "declared",
    "layout",
}
_HEAD = "| block | lines | verdict | what it showed |\n|---|---|---|---|\n"


class Shown(NamedTuple):
    number: int
    verdict: str
    what: str

    @property
    def row(self) -> str:
        return f"| {self.number} | {BLOCKS[self.number].where} | {self.verdict} | {self.what} |\n"


def find_all() -> list[Shown]:
    """By number; whoever shows one twice is in here twice."""
    found: list[Shown] = []
    for name in MODULES:
        for test in vars(import_module(name)).values():
            found += _of(test)
    return sorted(found)


def _of(test: Any) -> list[Shown]:
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "block"]
    what = " ".join((inspect.getdoc(test) or "").split())
    return [Shown(*mark.args, what) for mark in marks]


def make_table() -> str:
    return _HEAD + "".join(shown.row for shown in find_all())


def write() -> None:
    README.write_text(README.read_text().partition(_HEAD)[0] + make_table())


if __name__ == "__main__":
    write()
