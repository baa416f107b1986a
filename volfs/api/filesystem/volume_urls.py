"""``volfs://VOLUME/PATH?at=VERSION&store=ADDRESS&environment=NAME``, and the paths that fsspec
makes of such addresses: ``VOLUME/PATH``."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl

from volfs.errors import InvalidError, InvalidPathError
from volfs.model.names import Path, check_volume_name, join_path, parse_path

SCHEME = "volfs://"
_OPTION = r"(?:at|store|environment)=[^&?]*"
_QUERY = re.compile(rf"\?({_OPTION}(?:&{_OPTION})*)\Z")
"""A question mark is otherwise a letter of a name, or of a pattern."""


class VolumePlace(NamedTuple):
    """A path in a volume. The empty ``volume`` is the list of all volumes."""

    volume: str
    path: Path


def strip_scheme(url: str) -> str:
    """The path for fsspec of an address or of such a path, without options and slashes at its
    ends."""
    if url.startswith(SCHEME):
        url = _QUERY.sub("", url.removeprefix(SCHEME))
    return url.strip("/")


def find_options(url: str) -> dict[str, str]:
    """The options at the end of an address. InvalidError if one is given twice."""
    query = _QUERY.search(url) if url.startswith(SCHEME) else None
    pairs = parse_qsl(query[1], keep_blank_values=True) if query else []
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidError(f"{url}: an option is given twice")
    return options


def parse_place(path: str) -> VolumePlace:
    """The place of a path for fsspec. InvalidPathError; InvalidNameError for a volume's name."""
    volume, _, inside = path.strip("/").partition("/")
    if not volume and inside:
        raise InvalidPathError(f"invalid path {path!r}: no volume")
    return VolumePlace(check_volume_name(volume) if volume else "", parse_path(inside))


def show_place(volume: str, path: Path) -> str:
    """The path for fsspec of a place. Bytes that are not UTF-8 become surrogates."""
    inside = join_path(path).decode("utf-8", "surrogateescape") if path else ""
    return f"{volume}/{inside}" if inside else volume
