"""What the message of a version says of the merge that made it: which volume, up to which version.

The note is the last line of the message, so it is published in the same step as the merge, and no
other record can disagree with it. Layout: docs/format.md, "Messages of merges".
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NOTE = re.compile(r"(?:\A|\n\n?)Merged: ([a-z]{2}-[0-9A-Za-z]{1,60})@(0|[1-9][0-9]{0,18})\Z")


class MergeNote(NamedTuple):
    """A version holds the changes of this volume up to and including this version of it."""

    volume_id: str
    version: int


def add_merge_note(message: str, note: MergeNote) -> str:
    """The message with the note behind it."""
    return f"{message}\n\nMerged: {note.volume_id}@{note.version}"


def split_merge_note(message: str) -> tuple[str, MergeNote | None]:
    """The message as its author wrote it, and the note if there is one."""
    found = _NOTE.search(message)
    if found is None:
        return message, None
    return message[: found.start()], MergeNote(found[1], int(found[2]))
