"""The history of a volume from its manifests alone, where the refs are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from volfs.model.objects import Oid


class FoundManifest(NamedTuple):
    """A manifest that was found: what it says of itself."""

    oid: Oid
    version: int
    parent: Oid
    created_ns: int


def choose_versions(
    found: Iterable[FoundManifest], is_whole: Callable[[FoundManifest], bool]
) -> list[FoundManifest]:
    """One manifest for each version that can be had, newest first.

    The newest whole version is the head; below it the parents, and where a
    parent is missing the next lower version there is. Of two that might be a
    version, the earlier: the one that lost the race to publish was made again.
    """
    by_version: dict[int, list[FoundManifest]] = {}
    for item in found:
        by_version.setdefault(item.version, []).append(item)
    chosen: list[FoundManifest] = []
    above: FoundManifest | None = None
    for version in sorted(by_version, reverse=True):
        candidates = _list_candidates(by_version[version], above)
        whole = next(filter(is_whole, candidates), None)
        if whole is not None:
            chosen.append(whole)
        above = whole or next(iter(candidates), above)
    return chosen


def _list_candidates(
    found: list[FoundManifest], above: FoundManifest | None
) -> list[FoundManifest]:
    """Those that may be the version, likeliest first."""
    if above is not None and above.version == found[0].version + 1:
        return [item for item in found if item.oid == above.parent]
    return sorted(found, key=lambda item: (item.created_ns, item.oid))
