"""The rules for ``volumes=`` and ``network_file_systems=``: which objects may be mounted, and
where.

A class takes part if its ``mounts_as`` says of which kind its objects are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from volfs.api.resource import ResourceHandle
from volfs.errors import InvalidError
from volfs.model.names import to_mount_path

VOLUME, NETWORK_FILE_SYSTEM = "Volume", "NetworkFileSystem"
_SAID = {VOLUME: "volume", NETWORK_FILE_SYSTEM: "network file system"}

Pairs = list[tuple[str, Any]]


def validate_mounts(kind: str, mapping: Mapping[str | PurePosixPath, Any]) -> Pairs:
    """The canonical paths and the objects to mount there, in the order given. InvalidError.

    Nothing is looked up. ``check_distinct`` finds handles on the same volume.
    """
    if not isinstance(mapping, dict):
        raise InvalidError(
            f"`volume_likes` should be a dict[str | PurePosixPath, {kind}], "
            f"got {type(mapping)} instead"
        )
    pairs = [(to_mount_path(kind, str(path)), what) for path, what in mapping.items()]
    for path, what in pairs:
        if getattr(type(what), "mounts_as", None) != kind:
            raise InvalidError(
                f"Object of type {type(what)} mounted at '{path}' is not usable as a {_SAID[kind]}."
            )
    check_places(kind, pairs)
    _check_once(kind, pairs, id)
    return pairs


def check_distinct(kind: str, pairs: Pairs) -> None:
    """Raise InvalidError if two handles are on one volume. Looks them up: NotFoundError."""
    _check_once(kind, pairs, lambda handle: handle.object_id)


def check_places(kind: str, pairs: Pairs) -> None:
    """Raise InvalidError if two entries have one canonical path, as ``/a`` and ``/a/`` have."""
    for path, places in _group(pairs, lambda pair: pair[0]).items():
        if len(places) > 1:
            raise InvalidError(f"{kind} {path}: more than one is to be mounted there.")


def _check_once(kind: str, pairs: Pairs, identify: Callable[[Any], object]) -> None:
    # An object that is no handle, such as a bucket's mount, may be used twice.
    handles = [pair for pair in pairs if isinstance(pair[1], ResourceHandle)]
    for places in _group(handles, lambda pair: identify(pair[1])).values():
        if len(places) > 1:
            raise InvalidError(
                f"The same {kind} cannot be mounted in multiple locations for the same function: "
                f"{', '.join(places)}"
            )


def _group(
    pairs: Iterable[tuple[str, Any]], key: Callable[[tuple[str, Any]], object]
) -> dict[object, list[str]]:
    groups: dict[object, list[str]] = {}
    for pair in pairs:
        groups.setdefault(key(pair), []).append(pair[0])
    return groups
