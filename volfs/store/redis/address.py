"""The address of a server of tables: ``VOLFS_TABLES``, and where its password comes from.

Nothing here puts a password into a text. A text that is no address is not repeated in an error
either, because a password with a ``/`` or a ``#`` in it may be the reason.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from volfs.errors import InvalidError

VARIABLE = "VOLFS_TABLES"
PASSWORD, PASSWORD_FILE = "VOLFS_TABLES_PASSWORD", "VOLFS_TABLES_PASSWORD_FILE"
PORT = 6379
SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = {"space", "db", "ca_file"}
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_SPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHAPE = (
    "an address is redis://[user:password@]host[:port][/db], rediss://… for TLS, or "
    "unix:///path[?db=N]; other characters than letters and digits in a password are written as "
    f"%XX, or the password is given by {PASSWORD} or {PASSWORD_FILE}"
)


@dataclass(frozen=True)
class TablesAddress:
    """A database of a server. ``repr`` and ``text`` have no password."""

    scheme: str
    host: str
    port: int
    path: str
    """The socket of a ``unix`` address."""
    db: int
    user: str = ""
    password: str = field(default="", repr=False)
    space: str = ""
    """The name of what several stores share. Empty: the database belongs to one store."""
    ca_file: str = ""

    @property
    def text(self) -> str:
        """The address as it is shown: without user and password."""
        if self.scheme == "unix":
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.db}"

    @property
    def text_with_space(self) -> str:
        mark = "&" if self.scheme == "unix" else "?"
        return f"{self.text}{mark}space={self.space}" if self.space else self.text


def find_address() -> TablesAddress | None:
    """What ``VOLFS_TABLES`` says; None if it is unset or empty. InvalidError."""
    said = os.environ.get(VARIABLE)
    return parse_address(said) if said else None


def describe_variables() -> tuple[str | None, ...]:
    """The variables that ``find_address`` reads. Equal values mean an equal address, unless a
    password file was written anew."""
    return tuple(map(os.environ.get, (VARIABLE, PASSWORD, PASSWORD_FILE)))


def parse_address(text: str) -> TablesAddress:
    """Take an address apart. InvalidError, which does not repeat the text."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("it cannot be taken apart") from None
    if parts.scheme not in SCHEMES:
        raise _wrong("its scheme is unknown")
    if parts.fragment or text.endswith("#") or "@" in parts.path + parts.query:
        raise _wrong("it has a '#', or an '@' after the host")
    options = _parse_options(parts.query)
    place = _parse_socket(parts) if parts.scheme == "unix" else _parse_host(parts, port)
    db = options.get("db", place["db"])
    if not re.fullmatch("[0-9]{1,9}", db):
        raise _wrong("the database is no number")
    return TablesAddress(
        scheme=parts.scheme,
        host=place["host"],
        port=PORT if port is None else port,
        path=place["path"],
        db=int(db),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "") or _read_password(),
        space=_check_space(options.get("space", "")),
        ca_file=options.get("ca_file", ""),
    )


def _parse_options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise _wrong("what follows the '?' has not the form NAME=VALUE") from None
    if set(dict(pairs)) - _OPTIONS:
        raise _wrong(f"an option is unknown; there are {', '.join(sorted(_OPTIONS))}")
    return dict(pairs)


def _parse_host(parts: SplitResult, port: int | None) -> dict[str, str]:
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise _wrong("it names no host")
    if port == 0:
        raise _wrong("there is no port 0")
    return {"host": host, "path": "", "db": parts.path.strip("/") or "0"}


def _parse_socket(parts: SplitResult) -> dict[str, str]:
    path = unquote(parts.path)
    if parts.hostname or not path.startswith("/") or "\0" in path:
        raise _wrong("it names no socket by an absolute path: unix:///path")
    return {"host": "", "path": path, "db": "0"}


def _check_space(space: str) -> str:
    if space and not _SPACE.fullmatch(space):
        raise _wrong("a space has a name of 1 to 64 letters, digits, '.', '_' and '-'")
    return space


def _read_password() -> str:
    if password := os.environ.get(PASSWORD):
        return password
    named = os.environ.get(PASSWORD_FILE)
    if not named:
        return ""
    try:
        return Path(named).read_text().rstrip("\r\n")
    except OSError as error:
        raise InvalidError(f"{PASSWORD_FILE}: {named}: {error.strerror}") from None
    except ValueError:
        raise InvalidError(f"{PASSWORD_FILE}: {named}: this is no text in UTF-8") from None


def _wrong(why: str) -> InvalidError:
    return InvalidError(f"{VARIABLE}: {why}; {_SHAPE}")
