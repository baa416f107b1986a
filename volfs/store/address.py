"""The address of a store: a directory, or a URL. The only place that tells them apart.

An address is a URL if it begins with a scheme and ``://``, or with ``file:``. All else is a
directory, whatever characters its name has: ``s3:``, ``a:b``, a name with spaces.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from volfs.buckets.address import SCHEMES, parse_bucket_address
from volfs.errors import NotAStoreError

FILE = "file"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE = re.compile(r"file:", re.IGNORECASE)
_OURSELVES = ("", "localhost")


class Address(NamedTuple):
    """Where a store is. ``location`` is a path, or what follows the scheme of a bucket."""

    scheme: str
    """The scheme in small letters. ``file`` stands for a directory."""
    location: str

    @property
    def local_path(self) -> Path | None:
        """The directory, as an absolute path; None for a bucket."""
        return Path(os.path.abspath(self.location)) if self.scheme == FILE else None

    @property
    def text(self) -> str:
        """The address in the form that is handed on: an absolute path, or the URL."""
        path = self.local_path
        return f"{self.scheme}://{self.location}" if path is None else str(path)


def parse_address(text: str) -> Address:
    """Take an address apart. That of a bucket gets the one form that it has.

    NotAStoreError for a ``file:`` URL of another machine, or one that names no directory;
    InvalidError for an address of a bucket that cannot be valid.
    """
    if _FILE.match(text):
        return Address(FILE, _parse_file(text))
    match = _SCHEME.match(text)
    if match is None:
        return Address(FILE, _check_path(text, text))
    scheme = match[1].lower()
    if scheme in SCHEMES:
        text = parse_bucket_address(text).text
    return Address(scheme, text.partition("://")[2])


def find_local_path(text: str) -> Path | None:
    """The directory that an address names; None for a bucket. NotAStoreError."""
    return parse_address(text).local_path


def _parse_file(text: str) -> str:
    """The path of a ``file:`` URL: ``file:///PATH``, ``file:/PATH`` or, relative, ``file:PATH``.

    Percent-escapes are undone. They stand for bytes, which need not be UTF-8.
    """
    path = text[len("file:") :]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        if host.lower() not in _OURSELVES:
            raise NotAStoreError(
                f"store {text}: {host!r} would be another machine; a directory of this one is "
                f"file:///{host}/… or, relative, file:{host}/…"
            )
        path = slash + path
    return _check_path(os.fsdecode(unquote_to_bytes(os.fsencode(path))), text)


def _check_path(path: str, text: str) -> str:
    if not path:
        raise NotAStoreError(f"store {text!r}: no directory is named")
    if "\0" in path:
        raise NotAStoreError(f"store {text!r}: a path has no NUL")
    return path
