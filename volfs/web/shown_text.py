"""Text of volumes as it is shown on a page: nothing in it may look like something else. Pure.

HTML is escaped by the templates. This is about what a browser would obey or hide in plain text:
control characters, and those that turn the direction of what follows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from typing import Literal, NamedTuple

LINE_MAX = 2000
"""The longest line that is shown, in characters."""
_KEPT = {"\t", "\n"}
Sign = Literal["+", "-", " ", "@"]


class DiffLine(NamedTuple):
    """A line of a difference: added, removed, as before, or a heading."""

    sign: Sign
    text: str


def make_visible(text: str) -> str:
    """The text with escapes in place of characters that nobody would see."""
    return text if text.isascii() and text.isprintable() else "".join(map(_make_visible, text))


def _make_visible(character: str) -> str:
    if character.isprintable() or character in _KEPT:
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in ("Zs", "Zl", "Zp"):
        return " "
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def show_bytes(raw: bytes) -> str:
    """Bytes that should be text: a name, a path, a target."""
    return (
        make_visible(raw.decode("utf-8", "surrogateescape"))
        .replace("\n", "\\n")
        .replace("\t", "\\t")
    )


def decode_text(data: bytes, *, is_cut: bool) -> str | None:
    """The text that the data is; None if it is none. Data that ``is_cut`` may end in the middle of
    a character."""
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
