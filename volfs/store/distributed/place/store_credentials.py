"""The credentials of a store in a bucket that ``VOLFS_STORE_CREDENTIALS`` names.

The variable has a name, and never a secret: a profile, a file, or a Secret of a store in a
directory. Nothing else is looked for then. Values are only in ``BucketOptions``, which prints none.
"""

from __future__ import annotations

import os
import pkgutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, LocalFileError, StoreDeniedError
from volfs.model.text import describe_error

CREDENTIALS = "VOLFS_STORE_CREDENTIALS"
FORMS = "profile:NAME, file:PATH or secret:NAME@STORE"
FILE_MAX = 1 << 16
READ_SECRET = "volfs.services.named_secrets:read_named_secret"
"""What reads a Secret: ``(store, name)``. It is found by its name, because the room of Secrets lies
above this one."""


def find_credentials() -> BucketOptions:
    """What the variable names; without it, the usual variables of the service. InvalidError for
    what names nothing; StoreDeniedError; the errors of reading a Secret."""
    said = os.environ.get(CREDENTIALS)
    if not said:
        return BucketOptions()
    source, _, name = said.partition(":")
    if not name or source not in ("profile", "file", "secret"):
        raise InvalidError(f"{CREDENTIALS}: use {FORMS}")
    if source == "profile":
        return BucketOptions(profile=name)
    return BucketOptions(secret=_read_file(Path(name)) if source == "file" else _read_secret(name))


# --- a file -----------------------------------------------------------------


def _read_file(path: Path) -> Mapping[str, str]:
    """The variables of a file that only this user and root can read."""
    try:
        with open(path, opener=_open_at_once, encoding="utf-8") as file:
            _check_private(path, os.fstat(file.fileno()))
            text = file.read(FILE_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFileError(f"{CREDENTIALS}: {path}: {describe_error(error)}") from None
    if len(text) > FILE_MAX:
        raise LocalFileError(f"{CREDENTIALS}: {path}: longer than {FILE_MAX >> 10} KiB")
    return _parse(path, text)


def _open_at_once(path: str, flags: int) -> int:
    """Open the file without waiting, in case it is a fifo."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreDeniedError(f"{CREDENTIALS}: {path}: it is no regular file")
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o077:
        raise StoreDeniedError(
            f"{CREDENTIALS}: {path}: others may read or write it: chown it to yourself, and "
            "chmod 600"
        )


def _parse(path: Path, text: str) -> Mapping[str, str]:
    """Lines of ``NAME=VALUE``, as systemd and docker have them. No message has a line."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip().removeprefix("export ").strip()
        if not said or said.startswith("#"):
            continue
        name, equals, value = said.partition("=")
        if not equals or not name.strip().isidentifier():
            raise InvalidError(f"{CREDENTIALS}: {path}: line {number}: write NAME=VALUE")
        values[name.strip()] = _unquote(value.strip())
    if not values:
        raise InvalidError(f"{CREDENTIALS}: {path}: there is no NAME=VALUE in it")
    return values


def _unquote(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


# --- a Secret ---------------------------------------------------------------


def _read_secret(said: str) -> Mapping[str, str]:
    name, _, store = said.partition("@")
    if not name or not store:
        raise InvalidError(f"{CREDENTIALS}: use secret:NAME@STORE, where STORE is a directory")
    if "://" in store and not store.startswith("file://"):
        raise InvalidError(
            f"{CREDENTIALS}: {store}: name a store in a directory, because a bucket needs "
            "credentials itself"
        )
    read: Callable[[str, str], Mapping[str, str]] = pkgutil.resolve_name(READ_SECRET)
    return read(store, name)
