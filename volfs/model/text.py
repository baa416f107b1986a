"""Text of the system, which may be any bytes but NUL, and how it is shown and stored.

Arguments, paths, mount points, messages, user names and host names are bytes to the
system. Inside of volfs they are ``str`` as ``os.fsdecode`` makes them: a byte that is
no UTF-8 is a lone surrogate. Nothing of that goes to a terminal, a log or a listing
but through ``show`` and ``show_line``, and nothing into JSON or msgpack but through
``to_stored`` (docs/decisions/0025).
"""

from __future__ import annotations

import re
from itertools import accumulate

_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef]"
)
"""Printable by their category, and nothing is seen of them."""
_MARK = "\0"
"""Begins an escape in stored text: the one character that text of the system never has."""
_ESCAPE = re.compile(r"\0(?:([89a-f][0-9a-f]|00)|u(d[89a-f][0-9a-f]{2}))")


def to_text(raw: bytes) -> str:
    """Bytes as text; ``to_bytes`` gives the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes of text of the system. UnicodeEncodeError for surrogates that mean no byte."""
    return text.encode("utf-8", "surrogateescape")


# --- shown ------------------------------------------------------------------


def show(value: str | bytes) -> str:
    """A name or another single value, as one line of printable characters.

    Two that differ are shown differently: bytes that are no UTF-8 are ``\\xff``,
    characters that do not print ``\\n`` or ``\\u202e``, and a backslash is doubled.
    """
    return show_line(_join(value).replace("\\", r"\\"))


def show_line(text: str | bytes) -> str:
    """A whole message, as ``show`` but for backslashes: parts of it may be shown already."""
    text = _join(text)
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(map(_show_character, text))


def show_command(line: bytes) -> str:
    """A process's command line, as the kernel has it: shown, with spaces between arguments."""
    return show(line.rstrip(b"\0").replace(b"\0", b" "))


def describe_error(error: BaseException) -> str:
    """What an exception says; one that cannot say it is named by its class."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - its class is somebody else's
        return f"(a {type(error).__name__} that cannot be described)"


def _join(value: str | bytes) -> str:
    """As text in which surrogates are bytes that are no UTF-8, and nothing else."""
    try:
        return to_text(value if isinstance(value, bytes) else to_bytes(value))
    except UnicodeEncodeError:
        assert isinstance(value, str)
        return value


def _show_character(character: str) -> str:
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x80:
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


# --- stored -----------------------------------------------------------------


def to_stored(text: str) -> str:
    """Any text as Unicode, which JSON and msgpack take; ``from_stored`` gives it back.

    What is Unicode and has no NUL stays as it is. A byte that is no UTF-8 becomes NUL
    and its two hexadecimal digits.
    """
    if _MARK not in text and is_unicode(text):
        return text
    return "".join(map(_store_character, _join(text)))


def from_stored(text: str) -> str:
    """What ``to_stored`` was given; text of others, with NUL in it, stays as it is."""
    return _ESCAPE.sub(_restore, text) if _MARK in text else text


def cut_stored(text: str, limit: int) -> str:
    """Its beginning, of which what ``to_stored`` gives has at most so many characters."""
    if len(to_stored(text)) <= limit:
        return text
    lengths = accumulate(len(_store_character(character)) for character in _join(text))
    return _join(text)[: sum(length <= limit for length in lengths)]


def is_unicode(text: str) -> bool:
    """Whether it has no surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _store_character(character: str) -> str:
    number = ord(character)
    if character == _MARK:
        return f"{_MARK}00"
    if 0xDC80 <= number <= 0xDCFF:
        return f"{_MARK}{number - 0xDC00:02x}"
    if 0xD800 <= number <= 0xDFFF:
        return f"{_MARK}u{number:04x}"
    return character


def _restore(match: re.Match[str]) -> str:
    if match[2]:
        return chr(int(match[2], 16))
    number = int(match[1], 16)
    return chr(number and number + 0xDC00)
