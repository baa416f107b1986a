"""The pages that change something: restore and tag. Each shows first what will change, and a form
on it confirms the change."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from volfs.errors import AlreadyExistsError, InvalidError
from volfs.model.names import Path, check_tag_name
from volfs.volume.history import create_tag, get_version
from volfs.volume.restore import restore_version
from volfs.web.page_making import render, volume_url
from volfs.web.paths_in_urls import decode_path
from volfs.web.shown_pages import find_path, find_volume, shown_of

FIELDS = 20


def ask_restore(request: Request) -> Response:
    """What a restore would change, and the button."""
    shown, record, path = shown_of(request), find_volume(request), find_path(request)
    with (
        shown.opened(record, request.path_params["version"]) as old,
        shown.opened(record, "head") as head,
    ):
        wanted = old.get(path)
        changes, is_more = shown.compare(head, old)
        changes = [change for change in changes if change.path[: len(path)] == path]
        return render(
            request, "restore.html", record=record, old=old, head=head, path=path, entry=wanted,
            changes=changes, is_more=is_more,
        )  # fmt: skip


async def restore(request: Request) -> Response:
    async with request.form(max_fields=FIELDS, max_files=0) as form:
        path, expected = decode_path(_get(form, "path")), _get(form, "head")
    return await run_in_threadpool(_restore, request, path, expected)


def _restore(request: Request, path: Path, expected: str) -> Response:
    shown, record = shown_of(request), find_volume(request)
    refs = shown.store.refs
    if str(refs.get_head(record.id).version) != expected:
        raise InvalidError(
            "somebody has committed since this was asked: look at the changes again, then confirm"
        )
    old = get_version(refs, record, request.path_params["version"])
    published = restore_version(shown.store, record, old, [path] if path else [])
    said = "restored" if published.changed else "unchanged"
    return RedirectResponse(f"{volume_url(record)}?did={said}", 303)


def ask_tag(request: Request) -> Response:
    shown, record = shown_of(request), find_volume(request)
    with shown.opened(record, request.path_params["version"]) as version:
        tags = [tag.name for tag in shown.store.refs.list_tags(record.id)
                if tag.version == version.head.version]  # fmt: skip
        return render(
            request,
            "tag.html",
            record=record,
            version=version,
            tags=tags,
            name="",
            problem="",
            is_taken=False,
        )


async def tag(request: Request) -> Response:
    async with request.form(max_fields=FIELDS, max_files=0) as form:
        values = {key: _get(form, key) for key in ("name", "action", "move")}
    return await run_in_threadpool(_tag, request, **values)


def _tag(request: Request, name: str, action: str, move: str) -> Response:
    shown, record = shown_of(request), find_volume(request)
    head = get_version(shown.store.refs, record, request.path_params["version"])
    if action == "delete":
        shown.store.refs.delete_tag(record.id, check_tag_name(name))
        return RedirectResponse(f"{volume_url(record)}?did=untagged", 303)
    try:
        create_tag(shown.store.refs, record, name.strip(), head, move=move == "1")
    except (AlreadyExistsError, InvalidError, ValueError) as error:
        return _ask_tag_again(
            request, name, str(error), is_taken=isinstance(error, AlreadyExistsError)
        )
    return RedirectResponse(f"{volume_url(record)}?did=tagged", 303)


def _ask_tag_again(request: Request, name: str, problem: str, *, is_taken: bool) -> Response:
    shown, record = shown_of(request), find_volume(request)
    with shown.opened(record, request.path_params["version"]) as version:
        return render(
            request, "tag.html", status=409 if is_taken else 400, record=record, version=version,
            tags=[], name=name, problem=problem, is_taken=is_taken,
        )  # fmt: skip


def _get(form: FormData, name: str) -> str:
    value: Any = form.get(name, "")
    return value if isinstance(value, str) else ""
