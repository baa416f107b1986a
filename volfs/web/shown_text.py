"""Text of volumes as a page shows it: no text may look like another text. Pure.

HTML is escaped by the templates. This module escapes what a browser would obey or hide in
plain text: control characters, and those that turn the direction of the text after them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from typing import Literal, NamedTuple

from volfs.model.text import show_line

LINE_MAX = 2000
"""The longest line that is shown, in characters."""
_WITHIN_LINE = re.compile(r"[^\t\n]+")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
Sign = Literal["+", "-", " ", "@"]


class DiffLine(NamedTuple):
    """A line of a difference: added, removed, as before, or a heading."""

    sign: Sign
    text: str


def make_visible(text: str) -> str:
    """Text of several lines, shown as by ``show_line``, but with its tabs, its line ends and a
    plain space in place of every other kind of space."""
    return _WITHIN_LINE.sub(lambda found: show_line(found[0]), _SPACES.sub(" ", text))


def decode_text(data: bytes, *, is_cut: bool) -> str | None:
    """Decode the data; None if it is no text. Data that ``is_cut`` may end in the middle of a
    character."""
    if b"\0" in data:
        return None
    for left_out in range(4 if is_cut else 1):
        try:
            return data[: len(data) - left_out].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.start < len(data) - 4:
                return None
    return None


def split_lines(text: str) -> list[str]:
    """The lines, cut to what fits on a page."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [
        make_visible(line[:LINE_MAX]) + (" …" if len(line) > LINE_MAX else "") for line in lines
    ]


def diff_lines(old: list[str], new: list[str]) -> list[DiffLine]:
    """The difference of two texts with a few lines around each change."""
    return list(_iter_diff(old, new))


def _iter_diff(old: list[str], new: list[str]) -> Iterator[DiffLine]:
    for number, line in enumerate(unified_diff(old, new, lineterm="", n=3)):
        if number >= 2:  # the first two name files
            sign = line[0]
            yield DiffLine(sign, line if sign == "@" else line[1:])  # type: ignore[arg-type]


def are_similar_enough(old: list[str], new: list[str]) -> bool:
    """Whether a comparison line by line ends soon."""
    if len(old) * len(new) <= 4_000_000:
        return True
    return SequenceMatcher(None, old[:500], new[:500]).quick_ratio() > 0.3


def dump_bytes(data: bytes) -> list[str]:
    """Bytes as hexadecimal numbers beside what can be read of them."""
    rows = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"{at:08x}  {part.hex(' '):<47}  {text}")
    return rows
