"""No depth of what users have ends in a RecursionError: these rooms iterate.

A function that can call itself, directly or by others of its module, is found in
the source and has to be in ``BOUNDED``, with the reason why its depth has a limit.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("model", "vfs", "volume")
MODULES = sorted(
    path.relative_to(ROOT) for room in ROOMS for path in ROOT.glob(f"volfs/{room}/**/*.py")
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
BOUNDED = {
    # A chunk list has five levels: a file of 1 TiB needs no more, and the decoder allows no more.
    "volfs/model/content.py": {"measure_list", "_count_below"},
    "volfs/model/content_building.py": {"_Builder.put_node", "_Builder.put_inner"},
    # What msgspec has decoded, which refuses what is nested deeper; RecursionError is told.
    "volfs/model/text_json.py": {"_map_text"},
    "volfs/volume/content_check.py": {
        "ContentCheck._check_crowded",
        "ContentCheck._check_list",
        "ContentCheck._find_problems",
        "ContentCheck._check_children",
    },
}
"""By module: what calls itself, and why it ends."""
DELEGATED = {
    "volfs/model/free_room.py": {"FreeRoom.add"},
    "volfs/model/logs/change_codec.py": {"ChangeCodec.encode"},
    "volfs/vfs/scratch.py": {
        "Scratch.close",
        "Scratch.punch",
        "Scratch.release",
        "Scratch.restore",
        "Scratch.settle",
        "Scratch.take",
        "Scratch.truncate",
        "Scratch.write",
    },
    "volfs/volume/edit.py": {"Edit.bind"},
}
"""What calls a method of its own name of an object of another class."""


def iter_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions and methods, by their qualified names; nested ones belong to the outer."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield f"{node.name}.{inner.name}", inner


def iter_called(name: str, function: Function, known: set[str], modules: set[str]) -> Iterator[str]:
    """What of ``known`` it may call: functions by name, methods of its class through ``self``,
    and its own name on any other object, which may be one of the same class."""
    owner = name.rpartition(".")[0]
    nested = {node.name for node in iter_nested(function)}
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id not in nested:
            yield node.func.id
        elif isinstance(node.func, ast.Name) and node.func.id in find_own_calls(function):
            yield name
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            called = f"{owner}.{node.func.attr}"
            receiver = node.func.value.id
            if called in known and (
                receiver in ("self", "cls") or (called == name and receiver not in modules)
            ):
                yield called


def find_own_calls(function: Function) -> set[str]:
    """Nested functions that call themselves."""
    found = set()
    for inner in iter_nested(function):
        calls = (node.func for node in ast.walk(inner) if isinstance(node, ast.Call))
        if inner.name in {called.id for called in calls if isinstance(called, ast.Name)}:
            found.add(inner.name)
    return found


def iter_nested(function: Function) -> Iterator[Function]:
    nodes = (node for node in ast.walk(function) if isinstance(node, Function))
    return (node for node in nodes if node is not function)


def find_recursive(source: str) -> set[str]:
    """The functions of a module that may come to call themselves."""
    tree = ast.parse(source)
    functions = dict(iter_functions(tree))
    known = set(functions)
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import))
    modules = {alias.asname or alias.name for node in imports for alias in node.names}
    calls = {
        name: set(iter_called(name, function, known, modules)) & known
        for name, function in functions.items()
    }

    def reach(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = calls[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return {name for name in functions if name in reach(name)}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_what_calls_itself_has_a_limit(module: Path) -> None:
    found = find_recursive((ROOT / module).read_text())
    known = BOUNDED.get(str(module), set()) | DELEGATED.get(str(module), set())
    assert found == known


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x):\n  return [f(y) for y in x]", {"f"}),
        ("def f(x):\n  yield from g(x)\ndef g(x):\n  return f(x)\ndef h():\n  f(1)", {"f", "g"}),
        ("class A:\n  def f(self):\n    for below in self.all:\n      below.f()", {"A.f"}),
        ("class A:\n  def f(self):\n    self.g()\n  def g(self):\n    self.f()", {"A.f", "A.g"}),
        ("class A:\n  def f(self):\n    self.inner.f()", set()),
        ("def f():\n  def inner(x):\n    inner(x)\n  inner(1)", {"f"}),
        ("def f():\n  g()\ndef g():\n  pass", set()),
    ],
)
def test_recursion_is_seen(source: str, expected: set[str]) -> None:
    assert find_recursive(source) == expected
