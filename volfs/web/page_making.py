"""Templates, and how values look in them. Every value is escaped by the templates themselves."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from volfs.metrics.rates import describe_state
from volfs.model.entry import TYPE_BITS, Entry, FileKind
from volfs.model.sizes import format_size
from volfs.model.text import show
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.web.paths_in_urls import encode_path
from volfs.web.shown_store import identify
from volfs.web.shown_text import make_visible

HERE = Path(__file__).parent
_AGES = (
    (86_400 * 365, "year"),
    (86_400 * 30, "month"),
    (86_400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def show_size(size: int | None) -> str:
    """A size; nothing if there is no size, as for a directory."""
    return "" if size is None else format_size(size)


def show_time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def show_ago(ns: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, now_ns() - ns) // 10**9
    for size, unit in _AGES:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now" if seconds < 10 else f"{seconds} seconds ago"


def show_mode(entry: Entry) -> str:
    return stat.filemode(TYPE_BITS[entry.kind] | entry.mode)


def count(number: int, thing: str, things: str = "") -> str:
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def volume_url(record: VolumeRecord) -> str:
    """The address of a volume's page. Names of volumes need no encoding."""
    return f"/volumes/{record.environment}/{record.name}"


def file_url(
    record: VolumeRecord, version: int, path: tuple[bytes, ...], what: str = "files"
) -> str:
    tail = f"?path={encode_path(path)}" if path else ""
    return f"{volume_url(record)}/{version}/{what}{tail}"


def _make_templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "size": show_size,
        "time": show_time,
        "ago": show_ago,
        "mode": show_mode,
        "name": show,
        "pathname": lambda path: "/".join(map(show, path)),
        "visible": make_visible,
    }
    templates.globals |= {
        "count": count,
        "volume_url": volume_url,
        "file_url": file_url,
        "encode_path": encode_path,
        "state_of": lambda seen: describe_state(seen.status),
        "identify": identify,
        "FileKind": FileKind,
    }
    return templates


_templates = _make_templates()


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Make a page from a template."""
    shown = request.app.state.shown
    values |= {"store": shown.store.url, "writable": shown.store.is_writable}
    text = _templates.get_template(template).render(**values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)
