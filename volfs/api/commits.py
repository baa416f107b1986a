"""What a commit published, as the API tells it."""

from __future__ import annotations

from dataclasses import dataclass

from volfs.model.names import join_path
from volfs.model.text import to_text
from volfs.volume.commit import Published


@dataclass(frozen=True)
class Overridden:
    """A path that others had committed a change to, and what each side did with it."""

    path: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class Commit:
    """What was published; false where nothing had changed."""

    version: int | None
    """The version that was made."""
    new_objects: int = 0
    new_bytes: int = 0
    """Stored for it, after compression."""
    overridden: tuple[Overridden, ...] = ()
    """What others' changes are no longer in the newest version, but in its history."""

    def __bool__(self) -> bool:
        return self.version is not None


def to_commit(published: Published) -> Commit:
    if not published.changed:
        return Commit(None)
    overridden = tuple(
        Overridden(to_text(join_path(item.path)), item.theirs, item.ours)
        for item in published.overridden
    )
    return Commit(published.head.version, published.new_objects, published.new_bytes, overridden)
