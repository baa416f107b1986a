"""The objects that a version has and another version lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from volfs.model.objects import Buffer, Kind, Load, Oid
from volfs.model.oid_set import OidSet
from volfs.model.references import Reference, iter_references


class NewObject(NamedTuple):
    """An object of the new version, with its canonical bytes unless it is a chunk."""

    kind: Kind
    oid: Oid
    data: Buffer | None


def iter_new_objects(
    load_new: Load, new: Oid, load_old: Load, old: Oid | None
) -> Iterator[NewObject]:
    """The objects below the manifest ``new``, itself included, that ``old`` lacks.

    Both are walked level by level, and what they share is not looked into, so the cost follows
    the difference. An object that moved to another level may come although ``old`` has it, and no
    object comes twice. Raises what the loads raise, and DamagedObjectError.
    """
    olds = [] if old is None else [Reference(Kind.MANIFEST, old)]
    return iter_new_below(load_new, [Reference(Kind.MANIFEST, new)], load_old, olds)


def iter_new_below(
    load_new: Load, news: list[Reference], load_old: Load, olds: list[Reference]
) -> Iterator[NewObject]:
    """As ``iter_new_objects``, from any objects of the new version on: these, and those below them
    that the objects below ``olds`` lack."""
    met = OidSet()
    waiting = [(news, olds)]
    while waiting:
        news, olds = waiting.pop()
        level = _OldLevel(load_old, olds)
        below: list[Reference] = []
        for reference in news:
            data = load_new(reference.oid)
            yield NewObject(*reference, data)
            for child in iter_references(reference.kind, data):
                if level.shares(child.oid) or not met.add(child.oid):
                    continue
                if child.kind is Kind.CHUNK:
                    yield NewObject(*child, None)
                else:
                    below.append(child)
        waiting += _pair(below, level.list_unshared())


class _OldLevel:
    """What lies below some objects of the old version."""

    def __init__(self, load: Load, references: Sequence[Reference]) -> None:
        self._children = OidSet()
        self._shared = OidSet()
        self._inner: list[Reference] = []
        for reference in references:
            for child in iter_references(reference.kind, load(reference.oid)):
                if self._children.add(child.oid) and child.kind is not Kind.CHUNK:
                    self._inner.append(child)

    def shares(self, oid: Oid) -> bool:
        """Whether the old version has the object here. It will not be looked into."""
        if oid not in self._children:
            return False
        self._shared.add(oid)
        return True

    def list_unshared(self) -> list[Reference]:
        return [child for child in self._inner if child.oid not in self._shared]


def _pair(
    news: list[Reference], olds: list[Reference]
) -> list[tuple[list[Reference], list[Reference]]]:
    """What is to be compared next. Without a counterpart, each new object is walked by itself,
    which takes less memory."""
    if olds:
        return [(news, olds)] if news else []
    return [([reference], []) for reference in news]
