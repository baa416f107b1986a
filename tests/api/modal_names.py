"""Modal's public names, and what volfs does with each: the table of docs/modal-names.md.

``modal_names.json`` has the names of Modal 1.6.4 and their parameters, as its package
says them. ``python -m tests.api.modal_names`` writes the table again.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import volfs
from volfs.api import client
from volfs.api.apps import function_options
from volfs.api.apps.standins import Lazy, Refusal, StandInType

NAMES: dict[str, list[str] | None] = json.loads(
    Path(__file__).with_name("modal_names.json").read_text()
)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "modal-names.md"
WORKS, ACCEPTED, FAILS, ABSENT = "works", "accepted", "fails when used", "absent"
ON_INSTANCES = {
    "App.name",
    "App.registered_classes",
    "App.registered_entrypoints",
    "App.registered_functions",
    "FunctionCall.object_id",
    "Probe.exec_argv",
    "Probe.interval_ms",
    "Probe.tcp_port",
}
"""What a class does not have, and its instances do."""
OTHERWISE = {
    "billing": (FAILS, "nothing is billed"),
    **{
        f"Client.{name}": (FAILS, "there is no server: a Client is a store")
        for name in client._SERVERS
    },
}
"""What cannot be seen in the names themselves."""
HEAD = """# Modal's names

Every public name of Modal 1.6.4, and what becomes of it here. It **works**; or it is
**accepted**, which is logged once, with what volfs does with it; or it **fails when used**,
with an UnimplementedError that says why, so that a file which only names it runs.

This page is made by `python -m tests.api.modal_names`, from the code.

## Parameters

Of `@app.function`, `@app.cls` and `with_options`, these are accepted and change nothing:
{noted}.

What other methods of Modal's take and volfs does not:

| name | parameters |
|---|---|
{parameters}

## Names
"""


@dataclass(frozen=True)
class Row:
    name: str
    verdict: str
    why: str = ""


def judge(name: str) -> Row:
    if name in ON_INSTANCES:
        return Row(name, WORKS)
    if name in OTHERWISE:
        return Row(name, *OTHERWISE[name])
    try:
        found = _find(name)
    except AttributeError:
        return Row(name, ABSENT)
    return Row(name, *_judge_found(found))


def _find(name: str) -> Any:
    """AttributeError."""
    found: Any = volfs
    for part in name.split("."):
        if isinstance(found, type) and not isinstance(found, StandInType):
            static = inspect.getattr_static(found, part, None)
            found = static if isinstance(static, property) else getattr(found, part)
        else:
            found = getattr(found, part)
    return found


def _judge_found(found: Any) -> tuple[str, str]:
    if isinstance(found, StandInType):
        return ACCEPTED, f"can be named; {found.why}"
    if isinstance(found, Lazy):
        return ACCEPTED, "gives a handle that fails when used"
    if isinstance(found, Refusal):
        return FAILS, found._why
    raw = _unwrap(found)
    if getattr(raw, "__annotations__", {}).get("return") == "NoReturn":
        return FAILS, _find_reason(raw)
    said = (inspect.getdoc(raw) or "").partition("\n")[0]
    if said.startswith("Noted"):
        return ACCEPTED, said.partition(": ")[2].rstrip(".") or "what it says is logged"
    return WORKS, ""


def _unwrap(found: Any) -> Any:
    """The function itself, of a property or a twin."""
    if isinstance(found, property):
        return found.fget
    return getattr(found, "_function", found)


def _find_reason(raw: Any) -> str:
    said = re.search(r"refuse\(\s*f?\"[^\"]*\",\s*\"([^\"]*)\"", inspect.getsource(raw))
    return said.group(1) if said else ""


def iter_lacking() -> Iterator[tuple[str, list[str]]]:
    """Names, and the parameters that Modal's have and ours do not take."""
    for name, wanted in NAMES.items():
        if wanted and judge(name).verdict in (WORKS, ACCEPTED):
            lacking = _list_lacking(_find(name), wanted)
            if lacking:
                yield name, lacking


def _list_lacking(found: Any, wanted: list[str]) -> list[str]:
    if isinstance(found, StandInType | Lazy):
        return []
    if isinstance(found, type) and issubclass(found, Exception):
        return []
    parameters = inspect.signature(found).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return []
    return [name for name in wanted if not name.startswith("*") and name not in parameters]


def make_document() -> str:
    noted = ", ".join(
        f"`{name}=`" for name in sorted(function_options._NOTED - function_options._SILENT)
    )
    lacking = [
        f"| `{name}` | {' '.join(f'`{one}`' for one in names)} |" for name, names in iter_lacking()
    ]
    head = HEAD.format(noted=noted, parameters="\n".join(lacking))
    parts: dict[str, list[Row]] = {}
    for name in NAMES:
        parts.setdefault(name.partition(".")[0] if "." in name else "", []).append(judge(name))
    return head + "".join(map(_make_part, parts, parts.values()))


def _make_part(title: str, rows: list[Row]) -> str:
    lines = [f"| `{row.name}` | {row.verdict} | {row.why} |" for row in rows]
    head = f"\n### {title}\n" if title else ""
    return f"{head}\n| name | | |\n|---|---|---|\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(make_document())
    sys.stdout.write(f"{DOCUMENT}\n")
