"""Which names volumes, environments, tags, entries, paths in a volume and mount points may have."""

from __future__ import annotations

import posixpath
import re

from volfs.errors import InvalidError, InvalidNameError, InvalidPathError
from volfs.model.text import show, to_bytes

NAME_MAX = 255
PATH_MAX = 4096
_TAKEN = ("/root", "/tmp")
_PLACES = (".", "..")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ENVIRONMENT = re.compile(r"(?!(?i:en-))(?!ap-[A-Za-z0-9]{22}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAIN = "main"
"""The environment that always exists, and that is meant if nobody names one."""

Path = tuple[bytes, ...]
"""Names from a volume's root downward; the empty tuple is the root."""


def check_volume_name(name: str) -> str:
    """Return ``name``. InvalidNameError says what is allowed."""
    if not was_volume_name(name) or name in _PLACES:
        raise InvalidNameError(
            f"invalid volume name {name!r}: use 1 to 64 of letters, digits, '.', '_' and '-', "
            "but neither '.' nor '..'"
        )
    return name


def was_volume_name(name: str) -> bool:
    """Whether a volume of this or an earlier release may have this name."""
    return bool(_VOLUME_NAME.fullmatch(name))


def check_environment(name: str, *, is_new: bool = False) -> str:
    """Return the name of an environment. InvalidNameError, in Modal's words.

    Only an environment that is not new may have periods, as on Modal.
    """
    if not was_environment(name) or (is_new and "." in name):
        raise InvalidNameError(
            f"Invalid Environment name: {name!r}.\n\nEnvironment names must be 1-64 characters, "
            "can only start with alphanumeric characters, may contain only alphanumeric "
            "characters, dashes, and underscores, and cannot start with 'en-'."
        )
    return name


def was_environment(name: str) -> bool:
    """Whether an environment may have this name, or could under earlier rules: with periods."""
    return bool(_ENVIRONMENT.fullmatch(name))


def join_name(environment: str, name: str) -> str:
    """A volume's name with its environment, unless that is ``main``: ``x`` or ``prod/x``.

    No name of a volume has a slash, so the two forms are never the same.
    """
    return name if environment == MAIN else f"{environment}/{name}"


def split_name(said: str) -> tuple[str | None, str]:
    """The environment in front of a volume's name, or None, and the name alone."""
    environment, slash, name = said.partition("/")
    return (environment, name) if slash else (None, said)


def check_tag_name(name: str) -> str:
    """Return ``name``. InvalidNameError says what is allowed."""
    if not is_tag_name(name) or name in _PLACES:
        raise InvalidNameError(
            f"invalid tag {name!r}: use 1 to 64 of letters, digits, '.', '_' and '-', "
            "not digits alone, and none of 'head', '.' and '..'"
        )
    return name


def is_tag_name(name: str) -> bool:
    """Whether a tag may have this name, or could in an earlier release: it must not mean a version
    otherwise."""
    return bool(_VOLUME_NAME.fullmatch(name)) and not (name.isdecimal() or is_head(name))


def is_head(name: str) -> bool:
    """Whether the text means a volume's newest version."""
    return name.lower() == "head"


def is_entry_name(name: bytes) -> bool:
    """Whether an entry of a tree may have this name."""
    return (0 < len(name) <= NAME_MAX and b"/" not in name and b"\0" not in name) and name not in (
        b".",
        b"..",
    )


def parse_path(path: str | bytes) -> Path:
    """The names of a slash-separated path inside a volume. InvalidPathError.

    A leading slash, doubled slashes and ``.`` mean nothing. ``..`` is refused, because there is no
    directory that a volume's path could be relative to.
    """
    try:
        raw = path if isinstance(path, bytes) else to_bytes(path)
    except UnicodeEncodeError:
        raise InvalidPathError(f"invalid path {path!a}: not text") from None
    names = tuple(name for name in raw.split(b"/") if name not in (b"", b"."))
    bad = next((name for name in names if not is_entry_name(name)), None)
    if bad is not None:
        raise InvalidPathError(f"invalid path {show_path(raw)}: {show_path(bad)} cannot be a name")
    if len(raw) > PATH_MAX:
        raise InvalidPathError(f"path of {len(raw)} bytes: longer than {PATH_MAX}")
    return names


def join_path(path: Path) -> bytes:
    """The path as bytes without a leading slash; the root is ``.``."""
    return b"/".join(path) or b"."


def show_path(path: bytes | Path) -> str:
    """A path for messages and listings, escaped as by ``show``."""
    return show(path if isinstance(path, bytes) else join_path(path))


def to_mount_path(kind: str, given: str) -> str:
    """Return the path in a container at which ``kind`` is mounted, without a slash at its end.

    InvalidError for a path that is relative or not canonical, and for `/`, `/root` and `/tmp`.
    """
    text = given.rstrip("/") or given[:1]
    if not text.startswith("/") or text.startswith("//") or posixpath.normpath(text) != text:
        raise InvalidError(f"{kind} {given} must be a canonical, absolute path.")
    if text == "/":
        raise InvalidError(f"{kind} {given} cannot be mounted into root directory.")
    if text in _TAKEN:
        raise InvalidError(f"{kind} {given} cannot be mounted at '{text}'.")
    return text
