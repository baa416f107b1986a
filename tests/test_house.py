"""The rules of the house that no linter knows. Imports between rooms: pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    path.relative_to(ROOT) for room in ("volfs", "cli") for path in ROOT.glob(f"{room}/**/*.py")
)

LINES_MAX = 450
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager"}
IMPURE = {"trio", "lmdb", "obstore", "pyfuse3", "socket", "time", "logging"}
VFS_WITH_EFFECTS = {
    *(
        "aio",
        "arena",
        "catalog",
        "committer",
        "counting",
        "flusher",
        "lease_keeper",
        "scratch",
        "sharing",
    ),
}


def imported(module: Path) -> set[str]:
    """The first part of every name that a module imports, wherever in it."""
    tree = ast.parse((ROOT / module).read_bytes())
    return set(_iter_imported(tree))


def _iter_imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def is_pure(module: Path) -> bool:
    if module.parts[:2] == ("volfs", "vfs"):
        return module.stem not in VFS_WITH_EFFECTS
    return module.parts[:2] in {("volfs", "model"), ("volfs", "errors")}


def test_there_are_modules() -> None:
    assert len(MODULES) > 50
    assert {path.parts[0] for path in MODULES} == {"volfs", "cli"}


def test_nothing_needs_the_interpreter_when_that_ends() -> None:
    """``__del__`` is called when modules are gone already; ``weakref.finalize`` is not."""
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
            assert getattr(node, "name", "") != "__del__", module


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_one_room(module: Path) -> None:
    lines = len((ROOT / module).read_bytes().splitlines())
    assert lines <= LINES_MAX, f"{module} has {lines} lines: it is two rooms"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_names_say_what_is_inside(module: Path) -> None:
    assert not FORBIDDEN_NAMES & {*module.parts, module.stem}


@pytest.mark.parametrize("module", [path for path in MODULES if is_pure(path)], ids=str)
def test_pure_rooms_know_no_world(module: Path) -> None:
    assert not IMPURE & imported(module)


def test_lmdb_is_known_to_one_room() -> None:
    rooms = {module.parent for module in MODULES if "lmdb" in imported(module)}
    assert rooms == {Path("volfs/store/checked_lmdb")}


def test_pyfuse3_is_known_to_one_room() -> None:
    rooms = {module.parent for module in MODULES if "pyfuse3" in imported(module)}
    assert rooms == {Path("volfs/fuse")}


def test_every_package_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {module.parent for module in MODULES if module.name == "__init__.py"}
    assert {module.parent for module in MODULES} == folders, "a folder has no __init__.py"
    packages = {".".join(folder.parts) for folder in folders}
    renamed = {
        "volfs_cli" + name.removeprefix("cli") if name.partition(".")[0] == "cli" else name
        for name in packages
    }
    stubs = {"volfs-stubs"}  # volfs/api/modules once more, for type checkers
    assert set(settings["packages"]) == renamed | stubs


@pytest.mark.parametrize(
    "statement",
    [
        "import volfs; [getattr(volfs, name) for name in volfs.__all__]",
        "from volfs_cli.main import cli; print(*cli.commands.values())",
    ],
)
def test_buckets_cost_nothing_before_there_is_one(statement: str) -> None:
    names = ("urllib3", "obstore", "botocore", "google", "azure")
    hidden = f"import sys; sys.modules.update(dict.fromkeys({names}))"
    subprocess.run([sys.executable, "-c", f"{hidden}; {statement}"], check=True, cwd="/")


@pytest.mark.parametrize(
    "statement",
    [
        "import volfs; [getattr(volfs, name) for name in volfs.__all__]",
        "from volfs_cli.main import cli; print(*cli.commands.values())",
    ],
)
def test_works_without_libfuse(statement: str) -> None:
    hidden = "import sys; sys.modules['pyfuse3'] = sys.modules['trio'] = None"
    subprocess.run([sys.executable, "-c", f"{hidden}; {statement}"], check=True, cwd="/")


def test_says_what_is_missing_without_libfuse(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyfuse3'] = sys.modules['trio'] = None\n"
        "from volfs_cli.main import run\n"
        "store, volume, place = sys.argv[1:]\n"
        "assert run(['--store', store, 'create', volume]) == 0\n"
        "assert run(['--store', store, 'mount', volume, place]) == 1\n"
    )
    place = tmp_path / "mnt"
    place.mkdir()
    command = [sys.executable, "-c", program, str(tmp_path / "store"), "data", str(place)]
    done = subprocess.run(command, check=True, cwd="/", capture_output=True, text=True)
    assert "mounting needs pyfuse3" in done.stderr


NAMED = {
    *("get_volume", "delete_volume", "create_volume", "create_ephemeral_volume", "rename_volume"),
    *("delete_with_overlays", "get_target", "find_targets", "MountOptions", "VolumeMount"),
}
"""Where a name of a volume stands without its environment, ``main`` is meant."""
ROOMS_OF_NAMES = {"daemon", "containers", "api"}


def _iter_calls(module: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
        if isinstance(node, ast.Call):
            yield node


def _says_environment(call: ast.Call) -> bool:
    """By keyword, or by a last argument that is one."""
    if any(keyword.arg == "environment" for keyword in call.keywords):
        return True
    words = {"environment", "where", "to", "environment_for", "environment_name", "MAIN"}
    nodes = [node for argument in call.args[1:] for node in ast.walk(argument)]
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in nodes}
    return bool(words & names)


def test_no_name_of_a_volume_loses_its_environment() -> None:
    """Where the argument is left out, another environment's volume may be meant."""
    rooms = [m for m in MODULES if m.parts[0] == "cli" or m.parts[1] in ROOMS_OF_NAMES]
    found = []
    for module in rooms:
        for call in _iter_calls(module):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in NAMED and not _says_environment(call):
                found.append(f"{module}:{call.lineno}: {name}")
    assert found == []


# --- what is written once -----------------------------------------------------

COPY_MIN = 40
"""Nodes of a function's body from which on two that are alike are one, written twice."""
HARNESS = sorted(path.relative_to(ROOT) for path in ROOT.glob("tests/harness/*.py"))
CALLED_IN = {
    "CDLL": {"volfs/system/libc.py"},
    "flock": {
        "volfs/system/locks.py",
        "volfs/store/embedded/tables/tables.py",  # and waits for those who share it
    },
}
"""Calls that have names of ours in volfs/system, and where they are made all the same."""


def _iter_functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def describe_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, int]:
    """What a function does, whatever it calls its variables and says in messages; its size."""
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            own.add(node.name)
    known: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in own:
            node.id = known.setdefault(node.id, f"variable {len(known)}")
        elif isinstance(node, ast.ExceptHandler):
            node.name = node.name and "error"
        elif isinstance(node, ast.JoinedStr):
            node.values = []
    first = function.body[0]
    has_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[has_text:]
    return "".join(map(ast.dump, body)), sum(1 for part in body for _ in ast.walk(part))


def test_no_function_is_written_twice() -> None:
    found: dict[str, str] = {}
    for module in [*MODULES, *HARNESS]:
        for function in _iter_functions(module):
            body, size = describe_body(function)
            here = f"{module}: {function.name}"
            if size >= COPY_MIN:
                other = found.setdefault(body, here)
                assert other == here, f"{here} is what {other} is: one of them is enough"


@pytest.mark.parametrize("name", CALLED_IN)
def test_what_the_kernel_offers_is_called_in_one_place(name: str) -> None:
    callers = set()
    for module in [*MODULES, *HARNESS]:
        for call in _iter_calls(module):
            if isinstance(call.func, ast.Attribute) and call.func.attr == name:
                callers.add(str(module))
    assert callers == CALLED_IN[name]


MODAL_HAS_TWO = {"StreamWriter"}
"""Modal names two of its own classes so."""
SAME_ON_ANOTHER_FLOOR = {
    *("care", "commit", "environments", "history"),
    *("leases", "objects", "refs", "tables"),
}
"""Modules of one name in several rooms, which are one thing to its user, its rules, its rows."""
TOLD_BY_ITS_ROOM = {
    *("access", "address", "answers", "check", "credentials"),
    *("device", "directories", "files", "host", "listing"),
    *("memory", "mount", "names", "notes", "opened"),
    *("opening", "places", "progress", "serving", "state"),
    *("writing",),
}
"""Words that each of two rooms has a use for. None is added without need: find another name."""


def _list_rooms_of(names: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that several modules have, without those of Modal's modules."""
    found: dict[str, list[str]] = {}
    for name, module in names:
        if module.parts[:3] != ("volfs", "api", "modules"):
            found.setdefault(name, []).append(str(module))
    return {name: rooms for name, rooms in found.items() if len(rooms) > 1}


def _iter_types() -> Iterator[tuple[str, Path]]:
    """The classes of a module, and its names for types that it puts together."""
    for module in MODULES:
        tree = ast.parse((ROOT / module).read_bytes())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        names += [name for node in tree.body if (name := _find_alias(node))]
        yield from ((name, module) for name in names if not name.startswith("_"))


def _find_alias(node: ast.stmt) -> str:
    """The name of a type that a statement defines, by its spelling; empty for any other."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return ""
    made = getattr(node.value, "func", None)
    is_type = isinstance(target, ast.Name) and re.fullmatch(r"[A-Z]\w*[a-z]\w*", target.id)
    is_variable = getattr(made, "id", "") in {"TypeVar", "ParamSpec"}
    return target.id if isinstance(target, ast.Name) and is_type and not is_variable else ""


def test_a_type_has_its_name_alone() -> None:
    """Whoever reads ``Session`` need not look at the imports to know which."""
    shared = _list_rooms_of(_iter_types())
    assert {n: rooms for n, rooms in shared.items() if n not in MODAL_HAS_TWO} == {}


def test_a_module_has_its_name_alone_or_shares_its_subject() -> None:
    rooms = (m for m in MODULES if m.parts[0] == "volfs" and m.stem not in {"__init__", "__main__"})
    known = SAME_ON_ANOTHER_FLOOR | TOLD_BY_ITS_ROOM
    shared = _list_rooms_of((module.stem, module) for module in rooms)
    assert {n: rooms for n, rooms in shared.items() if n not in known} == {}
    assert known <= shared.keys(), "a name that is listed here is nobody's, or one room's"


# --- one word, one thing ------------------------------------------------------

GLOSSARY = ROOT / "docs" / "glossary.md"
ONLY_IN = {
    r"hold|held|holds": ("volfs/store/", "volfs/volume/leases.py", "tests/", "cli/"),
    r"seal|sealed|unseal": ("volfs/vfs/", "volfs/model/extents.py", "volfs/daemon/sessions/"),
    r"doomed": ("volfs/store/embedded/",),
    r"anchor|anchored": ("volfs/store/", "volfs/fuse/", "volfs/daemon/"),
}
"""Words of the glossary that code is tempted to use for a second thing, and the rooms of the first:
names of functions, arguments and attributes."""


def _list_glossary() -> list[str]:
    """The words that the tables define; of ``condemned, doomed`` both."""
    rows = [line.split("|")[1].strip() for line in GLOSSARY.read_text().splitlines() if "|" in line]
    words = [word for row in rows if not row.startswith("---") for word in row.split(", ")]
    return [word for word in words if word != "word"]


def test_the_glossary_has_one_row_for_a_word() -> None:
    """Of two things that one word means elsewhere, too, the second says what it is of."""
    words = _list_glossary()
    assert len(words) > 100
    assert sorted(words) == sorted(set(words))


def _iter_names(module: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


@pytest.mark.parametrize("words", ONLY_IN)
def test_a_word_names_one_thing(words: str) -> None:
    known = re.compile(f"_*({words})")
    found = {
        f"{module}:{line}: {name}"
        for module in MODULES
        if not str(module).startswith(ONLY_IN[words])
        for name, line in _iter_names(module)
        if known.fullmatch(name)
    }
    assert found == set()
