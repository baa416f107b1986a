"""What ``docker volume create -o KEY=VALUE`` may say. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from volfs.containers.container import AUTO_COMMIT
from volfs.errors import InvalidError
from volfs.model.names import check_environment, check_volume_name
from volfs.model.profile import get_profile

_YES, _NO = ("", "true", "yes", "on", "1"), ("false", "no", "off", "0")


class VolumeOptions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The options of one volume of Docker."""

    volume: str = ""
    """The volume of volfs; empty: the one with the name that Docker has for it."""
    environment: str = ""
    """The environment of its name; empty: the one in force for the plugin."""
    at: str = ""
    """A version or tag. Containers then see that one, read-only."""
    ro: bool = False
    sub_path: str = ""
    auto_commit: float | None = None
    """Seconds between background commits; 0: none; None: the volume's default, else 5."""
    commit: str = "always"
    """What becomes of a container's changes: ``always`` commits them, ``never`` drops them."""
    keep: bool = False
    """Whether ``docker volume rm`` keeps a volume that this plugin has created."""
    version: int | None = None
    """The profile of a volume that is created."""


def parse_options(given: Mapping[str, str]) -> VolumeOptions:
    """The options, as Docker passes them. InvalidError for an unknown one, or a wrong value."""
    found: dict[str, Any] = {}
    for said, value in given.items():
        name = said.replace("-", "_")
        if name not in _PARSERS:
            raise _explain_unknown(said)
        if name in found:
            raise InvalidError(f"option {said}: given twice")
        found[name] = _PARSERS[name](said, value)
    return VolumeOptions(**found)


def _explain_unknown(said: str) -> InvalidError:
    near = get_close_matches(said, _PARSERS, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return InvalidError(f"unknown option {said}{hint}: use {', '.join(sorted(_PARSERS))}")


def _parse_flag(name: str, value: str) -> bool:
    if value.lower() not in (*_YES, *_NO):
        raise InvalidError(f"option {name}={value}: use true or false")
    return value.lower() in _YES


def _parse_text(name: str, value: str) -> str:
    if not value:
        raise InvalidError(f"option {name}: lacks a value")
    return value


def _parse_volume(name: str, value: str) -> str:
    return check_volume_name(_parse_text(name, value))


def _parse_environment(name: str, value: str) -> str:
    return check_environment(_parse_text(name, value))


def _parse_seconds(name: str, value: str) -> float:
    try:
        seconds = float(value) if value else AUTO_COMMIT
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise InvalidError(f"option {name}={value}: use a number of seconds; 0 is off")
    return seconds


def _parse_policy(name: str, value: str) -> str:
    if value == "success":
        raise InvalidError(
            f"option {name}=success: Docker does not tell a plugin how a container has ended; use "
            "always or never"
        )
    if value not in ("always", "never"):
        raise InvalidError(f"option {name}={value}: use always or never")
    return value


def _parse_profile(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise InvalidError(f"option {name}={value}: use 1 or 2")
    return get_profile(int(value)).number


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "volume": _parse_volume,
    "environment": _parse_environment,
    "at": _parse_text,
    "ro": _parse_flag,
    "sub_path": _parse_text,
    "auto_commit": _parse_seconds,
    "commit": _parse_policy,
    "keep": _parse_flag,
    "version": _parse_profile,
}
