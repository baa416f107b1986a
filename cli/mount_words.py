"""The words of ``mount -o`` and of a line in fstab, as options of ``volfs mount``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from volfs.errors import InvalidError

_FLAGS = {
    "ro": "--read-only",
    "read_only": "--read-only",
    "allow_other": "--allow-other",
    "nonempty": "--nonempty",
    "noexec": "--no-exec",
    "follow": "--follow",
}
_VALUES = {
    "at": "--at",
    "auto_commit": "--auto-commit",
    "store": "--store",
    "sub_path": "--sub-path",
    "env": "--env",
    "environment": "--env",
    "log": "--log",
    "log_level": "--log-level",
    "slow_log": "--slow-log",
    "on_version": "--on-version",
    "timeout": "--timeout",
}
_BARE = {"auto_commit"}
"""The words of ``_VALUES`` that may stand without a value."""
_WITHOUT_MEANING = {
    *("rw", "defaults", "auto", "noauto", "nofail", "fail", "_netdev", "nodev", "nosuid", "exec"),
    *("dev", "suid"),
    *("user", "nouser", "users", "owner", "group", "async", "relatime", "noatime", "nodiratime"),
    *("norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "silent", "loud"),
    *("diratime", "iversion", "noiversion", "mand", "nomand", "dirsync"),
}
"""What mount(8) and systemd read for themselves, what mount(8) adds without being asked, and what
is so anyway. Mounts are nosuid and nodev whatever is said."""
_FOR_OTHERS = re.compile(r"(x-|X-|comment=|user=|helper=|uhelper=|fsname=|subtype=)")
_REFUSED = {
    "remount": "an option cannot be changed while it is mounted; unmount it first",
    "bind": "use mount --bind for that, without -t",
    "sync": "each commit is durable; auto_commit=SECONDS commits in the background",
}


def parse_words(text: str, *, sloppy: bool = False) -> list[str]:
    """The arguments of ``volfs mount`` for the words after ``-o``. InvalidError for an unknown
    word, unless ``sloppy``."""
    arguments: list[str] = []
    for word in split_words(text):
        if word and not is_ignored(word):
            arguments += _translate(word, sloppy)
    return arguments


def split_words(text: str) -> Iterator[str]:
    """The words between commas. A value in double quotes may contain commas."""
    for found in re.finditer(r'((?:[^,"]|"[^"]*"?)*)(?:,|\Z)', text):
        yield found[1].replace('"', "")


def is_ignored(word: str) -> bool:
    """Whether a word says something to mount(8) or systemd, and nothing to volfs."""
    return word in _WITHOUT_MEANING or _FOR_OTHERS.match(word) is not None


def _translate(word: str, sloppy: bool) -> list[str]:
    name, equals, value = word.partition("=")
    name = name.replace("-", "_")
    if name in _FLAGS and not equals:
        return [_FLAGS[name]]
    if name in _VALUES and (value or (name in _BARE and not equals)):
        return [f"{_VALUES[name]}={value}" if value else _VALUES[name]]
    if sloppy:
        return []
    raise InvalidError(f"-o {word}: {_explain(name, equals)}")


def _explain(name: str, equals: str) -> str:
    if name in _REFUSED:
        return _REFUSED[name]
    if name in _FLAGS:
        return f"{name} takes no value"
    if name in _VALUES:
        return f"use {name}=VALUE"
    near = get_close_matches(name, [*_FLAGS, *_VALUES], 1)
    if near:
        return f"no such option; is {near[0]} meant?"
    known = ", ".join(sorted([*_FLAGS, *(f"{name}=" for name in _VALUES)]))
    return f"no such option; there are {known}"
