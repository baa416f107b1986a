"""The pages that show things. Each is answered in a thread, because a store blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from volfs.errors import InvalidError, IsADirectoryInVolumeError, NoEntryError
from volfs.model.changes import Change, find_kind
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path
from volfs.model.text import show
from volfs.store.contract.refs import VolumeRecord
from volfs.volume.version_reader import READ_SIZE
from volfs.web.page_making import render
from volfs.web.paths_in_urls import decode_path, find_raw
from volfs.web.previews import IMAGE_BYTES, find_image_type, make_preview
from volfs.web.shown_store import (
    CHANGES,
    ENTRIES,
    HistoryPage,
    ShownStore,
    ShownVersion,
    split_full,
)
from volfs.web.shown_text import (
    DiffLine,
    are_similar_enough,
    decode_text,
    diff_lines,
    split_lines,
)

DONE = {
    "restored": "Restored: the newest version has it now. Mounts show it after a reload.",
    "unchanged": "Nothing to restore: the newest version has all of that already.",
    "tagged": "The tag is set.",
    "untagged": "The tag is removed.",
}
"""What a page says after a change, by the word in its address."""
DIFF_BYTES = 512 << 10
DIFF_LINES = 4000


def shown_of(request: Request) -> ShownStore:
    shown: ShownStore = request.app.state.shown
    return shown


def find_volume(request: Request) -> VolumeRecord:
    """The volume that an address names. NotFoundError."""
    names = request.path_params
    return shown_of(request).get_volume(names["environment"], names["name"])


def find_path(request: Request) -> Path:
    return decode_path(find_raw(request.scope["query_string"], "path"))


def find_number(request: Request, name: str) -> int | None:
    """A number in the query. InvalidError."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidError(f"{name}: no number")
    return int(text)


# --- lists -------------------------------------------------------------------


def overview(request: Request) -> Response:
    shown = shown_of(request)
    volumes = sorted(shown.list_volumes(), key=lambda v: -(v.newest.created_ns if v.newest else 0))
    return render(
        request,
        "overview.html",
        volumes=volumes,
        mounts=shown.list_mounts(),
        of_store=shown.is_of_store,
    )


def mounts(request: Request) -> Response:
    """The table of mounts alone, which the overview asks for again and again."""
    shown, volume_id = shown_of(request), request.query_params.get("volume")
    record = shown.store.refs.find_volume_by_id(volume_id) if volume_id else None
    found = shown.list_mounts_of(record) if record else shown.list_mounts()
    return render(request, "mounts.html", mounts=found, of_store=shown.is_of_store, record=record)


def volume(request: Request) -> Response:
    shown, record = shown_of(request), find_volume(request)
    before = find_number(request, "before")
    is_folded = request.query_params.get("all") != "1"
    page = shown.page_history(record, before, is_folded=is_folded)
    head = shown.store.refs.get_head(record.id)
    return render(
        request,
        "volume.html",
        record=record,
        page=page,
        head=head,
        before=before,
        is_folded=is_folded,
        previous=shown.find_previous(record, page),
        origin_url=_find_origin_url(page),
        did=DONE.get(request.query_params.get("did", ""), ""),
        mounts=shown.list_mounts_of(record),
        of_store=shown.is_of_store,
    )


def _find_origin_url(page: HistoryPage) -> str:
    """The address of the version that the volume is a fork of."""
    if page.origin is None:
        return ""
    environment, name = split_full(page.origin.source)
    return f"/volumes/{environment}/{name}/{page.origin.version}/files"


def mount(request: Request) -> Response:
    """One mount and what it has not committed. If a script of the page asks, only the part of the
    page that changes."""
    shown, device = shown_of(request), request.path_params["device"]
    seen = shown.get_mount(device)
    changes, problem = None, ""
    is_readable = seen.status is not None and seen.status.bucket is None
    if is_readable:
        try:
            changes = shown.list_uncommitted(seen)
        except Exception as error:  # noqa: BLE001 - the rest of the page is shown all the same
            problem = str(error)
    template = "mount_part.html" if "hx-request" in request.headers else "mount.html"
    rows = changes.changes[:CHANGES] if changes else []
    more = len(changes.changes) - len(rows) if changes else 0
    return render(
        request, template, seen=seen, changes=changes, rows=rows, more=more, problem=problem,
        device=device, record=_find_record(shown, seen),
    )  # fmt: skip


def _find_record(shown: ShownStore, seen: Any) -> VolumeRecord | None:
    if not shown.is_of_store(seen) or seen.status.bucket is not None:
        return None
    return shown.store.refs.find_volume_by_id(seen.status.volume_id)


# --- a version ---------------------------------------------------------------


def files(request: Request) -> Response:
    """A directory or a file of a version."""
    shown, record, path = shown_of(request), find_volume(request), find_path(request)
    with shown.opened(record, request.path_params["version"]) as version:
        entry = version.get(path)
        values: dict[str, Any] = {
            "record": record,
            "version": version,
            "path": path,
            "entry": entry,
        }
        values["head"] = shown.store.refs.get_head(record.id)
        if entry.is_directory:
            skip = find_number(request, "skip") or 0
            entries = version.list_entries(entry, skip)
            values |= {"entries": entries[:ENTRIES], "skip": skip, "per_page": ENTRIES}
            return render(request, "directory.html", **values, is_more=len(entries) > ENTRIES)
        preview = None
        if entry.kind == FileKind.FILE:
            preview = make_preview(
                path[-1], entry, lambda offset, length: version.read(entry, offset, length)
            )
        return render(request, "file.html", **values, preview=preview)


def download(request: Request) -> Response:
    """The bytes of a file, sent so that no browser shows or runs them."""
    return _stream(request, "application/octet-stream", is_attachment=True)


def image(request: Request) -> Response:
    """The bytes of a file, if they are a picture. NoEntryError."""
    return _stream(request, None, is_attachment=False)


def _stream(request: Request, media_type: str | None, *, is_attachment: bool) -> Response:
    shown, record, path = shown_of(request), find_volume(request), find_path(request)
    with ExitStack() as stack:
        version = stack.enter_context(shown.opened(record, request.path_params["version"]))
        entry = version.get(path)
        if entry.kind != FileKind.FILE:
            raise IsADirectoryInVolumeError(f"{show(path[-1] if path else b'/')}: not a file")
        if media_type is None:
            media_type = find_image_type(bytes(version.read(entry, 0, 64)))
            if media_type is None or entry.size > IMAGE_BYTES:
                raise NoEntryError("this is no picture, or it is too large to be shown")
        headers = {"Content-Length": str(entry.size), "Content-Security-Policy": "sandbox"}
        if is_attachment:
            headers["Content-Disposition"] = make_disposition(path[-1])
        kept = stack.pop_all()
        return StreamingResponse(_iter_bytes(kept, version, entry), 200, headers, media_type)


def _iter_bytes(kept: ExitStack, version: ShownVersion, entry: Entry) -> Iterator[bytes]:
    with kept:
        for offset in range(0, entry.size, READ_SIZE):
            yield bytes(version.read(entry, offset, READ_SIZE))


def make_disposition(name: bytes) -> str:
    """The header that lets a browser store a file under its name, as far as that is harmless."""
    text = name.decode("utf-8", "replace")
    safe = "".join(c if c.isprintable() and c not in '/\\:*?"<>|%' else "_" for c in text)
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


# --- differences -------------------------------------------------------------


def diff(request: Request) -> Response:
    """The paths that differ between two versions; with a path, the lines of that file."""
    shown, record, path = shown_of(request), find_volume(request), find_path(request)
    names = request.path_params
    with (
        shown.opened(record, names["old"]) as old,
        shown.opened(record, names["new"]) as new,
    ):
        values: dict[str, Any] = {"record": record, "old": old, "new": new, "path": path}
        if path:
            return render(request, "file_diff.html", **values, **_diff_file(old, new, path))
        changes, is_more = shown.compare(old, new)
        return render(request, "diff.html", **values, changes=changes, is_more=is_more)


def _diff_file(old: ShownVersion, new: ShownVersion, path: Path) -> dict[str, Any]:
    before, after = old.find(path), new.find(path)
    if before is None and after is None:
        raise NoEntryError("this path is in neither of the two versions")
    kind = find_kind(before, after)
    change = Change(kind, path, before, after) if kind else None
    lines, why = _diff_content(old, new, before, after)
    images = [
        bool(entry and entry.kind == FileKind.FILE and entry.size <= IMAGE_BYTES
             and find_image_type(bytes(version.read(entry, 0, 64))))
        for version, entry in ((old, before), (new, after))
    ]  # fmt: skip
    return {
        "before": before, "after": after, "change": change, "lines": lines, "why": why,
        "images": images,
    }  # fmt: skip


def _diff_content(
    old: ShownVersion, new: ShownVersion, before: Entry | None, after: Entry | None
) -> tuple[list[DiffLine], str]:
    """The lines that differ, or why there are none."""
    texts = []
    for version, entry in ((old, before), (new, after)):
        if entry is None:
            texts.append("")
            continue
        if entry.kind != FileKind.FILE:
            return [], "Only the lines of files are compared."
        if entry.size > DIFF_BYTES:
            return [], "The file is too large for a comparison line by line."
        text = decode_text(bytes(version.read(entry, 0, DIFF_BYTES)), is_cut=False)
        if text is None:
            return [], "The content is no text."
        texts.append(text)
    sides = [split_lines(text) for text in texts]
    if not are_similar_enough(*sides):
        return [], "Nearly every line differs."
    lines = diff_lines(*sides)
    if len(lines) > DIFF_LINES:
        return lines[
            :DIFF_LINES
        ], f"Only the first {DIFF_LINES:,} lines of the difference are shown."
    return lines, "" if lines else "The lines are the same."
