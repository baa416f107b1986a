"""Text of the system, which may have any bytes but NUL, and how it is shown and stored.

Arguments, paths, mount points, messages, user names and host names are bytes to the system. In
volfs they are ``str`` as ``os.fsdecode`` makes it: a byte that is not UTF-8 is a lone surrogate.
Such text reaches a terminal, a log or a listing only through ``show`` and ``show_line``, and JSON
or msgpack only through ``to_stored`` (docs/decisions/0025).
"""

from __future__ import annotations

import re
from itertools import accumulate

_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef]"
)
"""Characters whose category says that they print, and that nevertheless show nothing."""
_MARK = "\0"
"""Begins an escape in stored text. It is the one character that text of the system never has."""
_ESCAPE = re.compile(r"\0(?:([89a-f][0-9a-f]|00)|u(d[89a-f][0-9a-f]{2}))")


def to_text(raw: bytes) -> str:
    """Bytes as text. ``to_bytes`` gives the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes of text of the system. UnicodeEncodeError for surrogates that stand for no
    byte."""
    return text.encode("utf-8", "surrogateescape")


# --- shown ------------------------------------------------------------------


def show(value: str | bytes) -> str:
    r"""A name or another single value, as one line of printable characters.

    Two different values look different. Bytes that are not UTF-8 become ``\xff``, characters that
    do not print ``\n`` or ``\u202e``, and a backslash is doubled.
    """
    return show_line(_join(value).replace("\\", r"\\"))


def show_line(text: str | bytes) -> str:
    """A whole message, shown as by ``show``, but with backslashes as they are: parts of the
    message may be shown already."""
    text = _join(text)
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(map(_show_character, text))


def show_command(line: bytes) -> str:
    """The command line of a process as the kernel has it, shown, with spaces between arguments."""
    return show(line.rstrip(b"\0").replace(b"\0", b" "))


def describe_error(error: BaseException) -> str:
    """The text of an exception, or the name of its class if it cannot say its text."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - its class is somebody else's
        return f"(a {type(error).__name__} that cannot be described)"


def _join(value: str | bytes) -> str:
    """The text in which only bytes that are not UTF-8 are surrogates. Other surrogates stay as
    they are."""
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
    """Any text as Unicode, which JSON and msgpack accept. ``from_stored`` gives the text back.

    Unicode without NUL stays as it is. A byte that is not UTF-8 becomes NUL and its two
    hexadecimal digits.
    """
    if _MARK not in text and is_unicode(text):
        return text
    return "".join(map(_store_character, _join(text)))


def from_stored(text: str) -> str:
    """The text that ``to_stored`` was given. Text from elsewhere that has a NUL stays as it is."""
    return _ESCAPE.sub(_restore, text) if _MARK in text else text


def cut_stored(text: str, limit: int) -> str:
    """The longest beginning of the text for which ``to_stored`` gives at most ``limit``
    characters."""
    if len(to_stored(text)) <= limit:
        return text
    lengths = accumulate(len(_store_character(character)) for character in _join(text))
    return _join(text)[: sum(length <= limit for length in lengths)]


def is_unicode(text: str) -> bool:
    """Whether the text has no surrogates."""
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
