"""The files, modules and names of the code that documents and docstrings name are there."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("volfs", "cli", "tests", "bench", "docs")
ROOMS = tuple(sorted(path.parent.name for path in ROOT.glob("volfs/*/__init__.py")))
CODE = sorted(path for top in TOPS for path in ROOT.glob(f"{top}/**/*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
OF_THE_CODE = [*ROOT.glob("docs/architecture.md"), ROOT / "docs" / "concurrency.md"]
"""Documents about the code itself: what looks like a name in them is a name of the code."""

QUOTED = re.compile(r"(?<!`)(`{1,2})([^`\n]+)\1(?!`)")
PLACE = re.compile(rf"(?:{'|'.join((*TOPS, *ROOMS))})/[\w./*-]*\w[\w./*-]*|(?:{'|'.join(TOPS)})/")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(\))?")
CLASS = re.compile(r"[A-Z]+[a-z]\w*[A-Z]\w*|[A-Z][a-z]+\w*Error")


def iter_quoted(text: str) -> Iterator[str]:
    for _, quoted in QUOTED.findall(text):
        yield quoted.strip()


def iter_docstrings(path: Path) -> Iterator[str]:
    """Of the module, its classes and functions, and what stands below a constant."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        text = getattr(getattr(node, "value", None), "value", None)
        if isinstance(node, ast.Expr) and isinstance(text, str):
            yield text


def is_there(place: str) -> bool:
    """From the top folder, or from ``volfs`` where the first word is a room."""
    return any(any(base.glob(place.rstrip("/."))) for base in (ROOT, ROOT / "volfs"))


def list_lost_places(text: str) -> list[str]:
    places = (quoted for quoted in iter_quoted(text) if PLACE.fullmatch(quoted))
    return [place for place in places if not is_there(place)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_places_that_a_document_names_are_there(document: Path) -> None:
    assert list_lost_places(document.read_text()) == []


def test_places_that_docstrings_name_are_there() -> None:
    lost = {
        str(path.relative_to(ROOT)): found
        for path in CODE
        for text in iter_docstrings(path)
        if (found := list_lost_places(text))
    }
    assert lost == {}


# --- modules, functions and classes -------------------------------------------


def _find_modules() -> dict[str, list[str]]:
    """By the last words of their names: ``commit``, ``volume.commit``, ``volfs.volume.commit``."""
    found: dict[str, list[str]] = {}
    for path in ROOT.glob("volfs/**/*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        words = parts[:-1] if parts[-1] == "__init__" else parts
        for start in range(len(words)):
            found.setdefault(".".join(words[start:]), []).append(".".join(words))
    return found


MODULES = _find_modules()


def _has(module: str, names: list[str]) -> bool:
    found: object = importlib.import_module(module)
    for name in names:
        annotated = getattr(found, "__annotations__", {})
        if not hasattr(found, name) and name not in annotated:
            return False
        found = getattr(found, name, annotated.get(name))
    return True


def can_be_imported(dotted: str) -> bool | None:
    """None for what begins with no module of volfs: a name of another library, say."""
    words = dotted.removesuffix("()").split(".")
    for count in range(len(words), 0, -1):
        candidates = MODULES.get(".".join(words[:count]), [])
        if any(_has(module, words[count:]) for module in candidates):
            return True
    return False if words[0] in MODULES else None


def _list_classes() -> set[str]:
    nodes = (node for path in CODE for node in ast.walk(ast.parse(path.read_bytes())))
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("document", OF_THE_CODE, ids=lambda path: path.name)
def test_names_of_the_code_can_be_imported(document: Path) -> None:
    quoted = set(iter_quoted(document.read_text()))
    dotted = {name for name in quoted if DOTTED.fullmatch(name)}
    assert sorted(name for name in dotted if can_be_imported(name) is False) == []
    known = _list_classes() | {*dir(builtins)}
    classes = {name.removesuffix("()") for name in quoted if CLASS.fullmatch(name)}
    assert sorted(classes - known) == []


def test_what_is_not_there_is_found() -> None:
    text = "In `volfs/vfs/no_such.py`, ``vfs/aio.py``, `tests/vfs` and `model/*_set.py`, not `a/b`."
    assert list_lost_places(text) == ["volfs/vfs/no_such.py"]
    assert can_be_imported("committer.Committer.commit")
    assert can_be_imported("volume.commit.no_such") is False
    assert can_be_imported("trio.run") is None
