"""What fsspec is told of a file: a dictionary with ``name``, ``size`` and ``type`` and more."""

from __future__ import annotations

from typing import Any

from volfs.api.filesystem.volume_urls import show_place
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path

FsspecFacts = dict[str, Any]
_TYPES = {FileKind.FILE: "file", FileKind.DIRECTORY: "directory", FileKind.SYMLINK: "link"}


def describe_volumes_list() -> FsspecFacts:
    return {"name": "", "size": 0, "type": "directory"}


def describe(volume: str, path: Path, entry: Entry, target: Entry | None = None) -> FsspecFacts:
    """The facts of an entry, whose link group is resolved already.

    ``target`` is what a symlink leads to, if that is known. The link then has the size and the
    type of ``target``.
    """
    shown = target or entry
    facts: FsspecFacts = {
        "name": show_place(volume, path),
        "size": 0 if shown.is_directory else shown.size,
        "type": _TYPES.get(FileKind(shown.kind), "other"),
        "mtime": shown.mtime_ns / 1e9,
        "mode": shown.mode,
        "uid": shown.uid,
        "gid": shown.gid,
        "islink": entry.kind == FileKind.SYMLINK,
    }
    if facts["islink"]:
        facts["destination"] = entry.inline.decode("utf-8", "surrogateescape")
    return facts
