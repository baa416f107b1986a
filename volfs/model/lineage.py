"""The history of a volume, told from its manifests alone after the refs were lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from volfs.model.objects import Oid


class FoundManifest(NamedTuple):
    """A manifest that was found, and what it says of itself."""

    oid: Oid
    version: int
    parent: Oid
    created_ns: int


def choose_versions(
    found: Iterable[FoundManifest], is_whole: Callable[[FoundManifest], bool]
) -> list[FoundManifest]:
    """One manifest for each version that can be had, newest first.

    The newest whole version is the head. Below it come its parents, and where a parent is missing
    the next lower version that exists. If two manifests claim one version, the earlier one is
    taken: the other had lost the race to publish, and was made again as a later version.
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
    """Manifests that may be the version, the likeliest first."""
    if above is not None and above.version == found[0].version + 1:
        return [item for item in found if item.oid == above.parent]
    return sorted(found, key=lambda item: (item.created_ns, item.oid))
