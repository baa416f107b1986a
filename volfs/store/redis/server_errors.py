"""Errors of the server and of the connection, as errors of volfs.

The first word of a server's error says its kind. Each error names the server, says what is
wrong, and says what to do.
"""

from __future__ import annotations

from collections.abc import Callable

from volfs.errors import (
    DamagedObjectError,
    InvalidError,
    OutOfSpaceError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
    VolfsError,
)
from volfs.store.redis.address import PASSWORD, PASSWORD_FILE, TablesAddress

Make = Callable[[str], VolfsError]
_PASSWORD = (
    f"give user and password in VOLFS_TABLES, or the password by {PASSWORD} or {PASSWORD_FILE}"
)
_CLUSTER = "this is a node of a cluster; name a server that is no cluster"

_KINDS: dict[str, tuple[Make, str]] = {
    "NOAUTH": (StoreDeniedError, f"the server wants a password; {_PASSWORD}"),
    "WRONGPASS": (StoreDeniedError, f"the server refuses user and password; {_PASSWORD}"),
    "DENIED": (StoreDeniedError, "the server is in protected mode; give it a password"),
    "READONLY": (StoreDeniedError, "this is a replica, which can only be read; name the primary"),
    "OOM": (
        OutOfSpaceError,
        "the server's memory is full (maxmemory); nothing was changed; remove something, or give "
        "it more",
    ),
    "MOVED": (StoreError, _CLUSTER),
    "ASK": (StoreError, _CLUSTER),
    "CLUSTERDOWN": (StoreError, _CLUSTER),
    "CROSSSLOT": (StoreError, _CLUSTER),
    "WRONGTYPE": (
        DamagedObjectError,
        "a key of volfs has a value of another type; another program has written to this "
        "database; use a database that is volfs's own",
    ),
    "MISCONF": (
        StoreUnavailableError,
        "the server cannot write to its disk, and refuses changes; see its log",
    ),
    "LOADING": (StoreUnavailableError, "the server is reading its data; try again in a moment"),
    "BUSY": (StoreUnavailableError, "the server is busy with a script; try again in a moment"),
    "MASTERDOWN": (StoreUnavailableError, "this is a replica that has lost its primary"),
    "NOREPLICAS": (StoreUnavailableError, "the server lacks replicas, and refuses changes"),
    "TRYAGAIN": (StoreUnavailableError, "the server asks to try again in a moment"),
}
_TEXTS: tuple[tuple[str, Make, str], ...] = (
    ("no password is set", StoreDeniedError, "the server has no password, and one was given"),
    ("without any password", StoreDeniedError, "the server has no password, and one was given"),
    ("invalid password", StoreDeniedError, f"the server refuses the password; {_PASSWORD}"),
    ("DB index", InvalidError, "the server has no database of this number; see `databases`"),
    ("max number of clients", StoreUnavailableError, "the server has too many clients"),
    ("unknown command", StoreError, "the server lacks a command; it must be Redis 7.0 or newer"),
    ("Script attempted to access", StoreError, _CLUSTER),
)


_WORDS = {
    "AskError": "ASK",
    "AuthenticationError": "WRONGPASS",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
"""The first words of errors that the library makes classes of, and then takes away."""


def find_answer(error: Exception) -> str | None:
    """The error answer of the server that the library has made an error of; None if the error is
    not the server's."""
    text, word = str(error), _WORDS.get(type(error).__name__)
    if word is not None:
        return f"{'NOAUTH' if 'Authentication required' in text else word} {text}"
    answers = {"ResponseError", "AuthenticationWrongNumberOfArgsError"}
    is_answer = any(kind.__name__ in answers for kind in type(error).__mro__)
    return text if is_answer or any(part in text for part, *_ in _TEXTS) else None


def say_refusal(address: TablesAddress, text: str) -> VolfsError:
    """The error for an error answer of the server."""
    kind = _find_kind(text)
    make, why = kind or (StoreError, f"the server answers: {_hide(address, text)}")
    return make(f"tables {address.text}: {why}")


def _find_kind(text: str) -> tuple[Make, str] | None:
    found = next(((make, why) for part, make, why in _TEXTS if part in text), None)
    if found is not None:
        return found
    word = text.partition(" ")[0]
    if word == "NOPERM":
        return StoreDeniedError, f"the user may not do this: {text.partition(' ')[2]}"
    if word in _KINDS:
        return _KINDS[word]
    # An error in a script begins with that of the command that failed.
    inner = next((one for one in _KINDS if f"-{one} " in text), None)
    return None if inner is None else _KINDS[inner]


def say_unreachable(address: TablesAddress, error: Exception) -> StoreError:
    """The error for a server to which there is no connection."""
    text = _hide(address, str(error)) or type(error).__name__
    return StoreUnavailableError(
        f"tables {address.text}: no connection to the server: {text}; is it running, and does "
        "VOLFS_TABLES name it?"
    )


def _hide(address: TablesAddress, text: str) -> str:
    """The text without the password, whoever put it there, and without its last period."""
    return (text.replace(address.password, "***") if address.password else text).rstrip(".")
