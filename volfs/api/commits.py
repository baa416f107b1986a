"""The result of a commit, as the API gives it."""

from __future__ import annotations

from dataclasses import dataclass

from volfs.model.names import join_path
from volfs.model.text import to_text
from volfs.volume.commit import Published
from volfs.volume.merging import MergeReport


@dataclass(frozen=True)
class Overridden:
    """A path that others had committed a change to, with what each side did to it."""

    path: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class Commit:
    """The result of a commit. It is false if nothing had changed."""

    version: int | None
    """The number of the new version; None if nothing had changed."""
    new_objects: int = 0
    new_bytes: int = 0
    """The bytes that were stored for the version, after compression."""
    overridden: tuple[Overridden, ...] = ()
    """The paths with changes of others that are no longer in the newest version, but still in its
    history."""

    def __bool__(self) -> bool:
        return self.version is not None


def to_merge_commit(report: MergeReport) -> Commit:
    """A merge as a commit of the fork's changes to the other volume."""
    version = report.after.version if report.is_published else None
    overridden = tuple(
        Overridden(to_text(join_path(item.path)), item.into, item.fork)
        for item in report.conflicts
        if not report.is_kept
    )
    return Commit(version, report.new_objects, report.new_bytes, overridden)


def to_commit(published: Published) -> Commit:
    if not published.changed:
        return Commit(None)
    overridden = tuple(
        Overridden(to_text(join_path(item.path)), item.theirs, item.ours)
        for item in published.overridden
    )
    return Commit(published.head.version, published.new_objects, published.new_bytes, overridden)
