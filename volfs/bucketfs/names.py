"""Keys of a bucket as names of files and directories. Pure.

A directory is a prefix that ends with ``/``. An object of just that key is its *marker*, which may
be missing. Keys that are no paths are *hidden*.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from volfs.buckets.address import KEY_MAX
from volfs.buckets.objects import ObjectInfo, Page
from volfs.errors import InvalidOperationError, NameTooLongError
from volfs.model.names import NAME_MAX

_PLACES = ("", ".", "..")


class Facts(NamedTuple):
    """What is known of a name: for a file, its object's size, time and ETag."""

    size: int
    mtime_ns: int
    etag: str
    is_directory: bool = False


_new_facts = partial(tuple.__new__, Facts)  # A call of the class takes thrice as long.
DIRECTORY = Facts(0, 0, "", True)


def to_facts(info: ObjectInfo) -> Facts:
    return Facts(info.size, info.mtime_ns, info.etag)


class PageNames(NamedTuple):
    """The names of one page of a directory's listing."""

    names: dict[bytes, Facts]
    """Names in the order of the listing. A name that is both a file and a directory is a
    directory."""
    end: bytes
    """The last part: a name, with its ``/`` if it is a directory."""
    hidden: list[str]
    """Keys that are no paths, and files that a directory of the same name hides."""
    first: bytes | None
    """The first part; None if there is none."""
    doubtful: list[bytes]
    """Files for which a later page may show a directory of the same name."""


def find_name(part: str) -> bytes | None:
    """The name that a part of a key stands for; None if it can stand for none."""
    if "/" in part or part in _PLACES or "\0" in part:
        return None
    try:
        name = part.encode()
    except UnicodeEncodeError:
        return None
    return name if len(name) <= NAME_MAX else None


def to_part(name: bytes) -> str:
    """The part of a key for a new name. InvalidOperationError, NameTooLongError."""
    if len(name) > NAME_MAX:
        raise NameTooLongError(f"a name of {len(name)} bytes: {NAME_MAX} are allowed")
    try:
        part = name.decode()
    except UnicodeDecodeError:
        raise InvalidOperationError("a key is UTF-8, and this name is not") from None
    if find_name(part) is None:
        raise InvalidOperationError(f"no file can be called {part!r}")
    return part


def is_touched(prefix: str, directory: str, name: str) -> bool:
    """Whether a change of a name in a directory changes what is listed below a prefix."""
    return prefix == directory or prefix.startswith(f"{directory}{name}/")


def check_key(key: str) -> str:
    """Return the key if services accept its length. NameTooLongError."""
    if len(key.encode()) > KEY_MAX:
        raise NameTooLongError(f"a key of more than {KEY_MAX} bytes: {key[:80]}…")
    return key


def read_page(prefix: str, page: Page) -> PageNames:
    """The names on a page of the listing of the directory ``prefix``."""
    cut, hidden = len(prefix), list[str]()
    directories = _read_directories(page.prefixes, cut, hidden)
    files = _read_files(page.objects, cut, hidden)
    shadowed = sorted(files.keys() & directories.keys())
    hidden += [prefix + name.decode() for name in shadowed]
    names = sort_names(files | directories)
    first, end = _find_ends(page, cut)
    doubtful = [] if page.next is None else _find_doubtful(names, end)
    return PageNames(names, end, hidden, first, doubtful)


def _read_files(objects: list[ObjectInfo], cut: int, hidden: list[str]) -> dict[bytes, Facts]:
    parts = [info.key[cut:] for info in objects]
    names = _find_names(parts)
    if names is None:
        names = [find_name(part) for part in parts]
        for info, part, name in zip(objects, parts, names, strict=True):
            if name is None and (part or info.size):
                hidden.append(info.key)
    facts = [_new_facts((size, mtime_ns, etag, False)) for _, size, mtime_ns, etag in objects]
    return {name: fact for name, fact in zip(names, facts, strict=True) if name is not None}


def _find_names(parts: list[str]) -> list[bytes | None] | None:
    """As ``find_name`` of each part, at once; None if any of them may be no name."""
    joined = "\0".join(parts)
    if "/" in joined or not joined.isascii() or not set(_PLACES).isdisjoint(parts):
        return None
    names = joined.encode().split(b"\0")
    return [*names] if len(names) == len(parts) and len(max(names, key=len)) <= NAME_MAX else None


def _read_directories(prefixes: list[str], cut: int, hidden: list[str]) -> dict[bytes, Facts]:
    found = dict[bytes, Facts]()
    for key in prefixes:
        name = find_name(key[cut:-1])
        if name is None:
            hidden.append(key)
        else:
            found[name] = DIRECTORY
    return found


def sort_names(names: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """Names in the order of a listing: a directory's part ends with ``/``."""
    parts = [name + b"/" if facts.is_directory else name for name, facts in names.items()]
    if parts == sorted(parts):
        return names
    return {part.rstrip(b"/"): names[part.rstrip(b"/")] for part in sorted(parts)}


def _find_ends(page: Page, cut: int) -> tuple[bytes | None, bytes]:
    """The first and the last part of a page."""
    infos = page.objects[:1] + page.objects[-1:]
    keys = [info.key for info in infos] + page.prefixes[:1] + page.prefixes[-1:]
    parts = [key[cut:].encode("utf-8", "surrogatepass") for key in keys]
    return min(parts, default=None), max(parts, default=b"")


def _find_doubtful(names: dict[bytes, Facts], end: bytes) -> list[bytes]:
    """Files ``a`` for which the page ends before ``a/``: then its last part begins with ``a``."""
    beginnings = (end[:length] for length in range(1, len(end) + 1))
    return [
        name
        for name in beginnings
        if name in names and not names[name].is_directory and end < name + b"/"
    ]
