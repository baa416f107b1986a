"""Text of the system: every byte comes back, nothing that does not print is shown."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.model.names import show_path
from volfs.model.text import (
    describe_error,
    from_stored,
    is_unicode,
    show,
    show_line,
    to_bytes,
    to_stored,
    to_text,
)
from volfs.model.text_json import decode_json, encode_json

any_text = st.text(st.characters(codec=None) | st.characters(categories=["Cs", "Cc", "Cf", "Zl"]))
system_text = st.binary().map(to_text)
NASTY = [
    b"\xff", b"caf\xe9", b"\x1b[2J", b"\xc2\x9b2J", b"\x9b2J", b"a\nb", b"a\tb", b"a\rb", b"\x7f",
    "\u202eexe.txt".encode(), "a\u2028b".encode(), "a\u200bb".encode(), "\ufeffa".encode(),
    "a\u00a0b".encode(), "a\u3164b".encode(), "\U000e0041".encode(), b"\\", b"\\n", b"\xed\xb3\xa9",
]  # fmt: skip


@given(st.binary())
def test_bytes_come_back(raw: bytes) -> None:
    assert to_bytes(to_text(raw)) == raw
    assert to_text(raw) == os.fsdecode(raw)


@given(any_text)
def test_what_is_shown_prints_on_one_line(text: str) -> None:
    for shown in (show(text), show_line(text), show(text.encode("utf-8", "surrogatepass"))):
        assert shown.isprintable()
        assert is_unicode(shown)


@given(system_text, system_text)
def test_what_differs_is_shown_differently(one: str, other: str) -> None:
    assert (show(one) == show(other)) == (to_bytes(one) == to_bytes(other))


@given(st.binary(max_size=3), st.binary(max_size=3))
def test_short_values_too(one: bytes, other: bytes) -> None:
    assert (show(one) == show(other)) == (one == other)


@given(system_text)
def test_what_is_shown_is_shown_once(text: str) -> None:
    assert show_line(show(text)) == show(text)


@pytest.mark.parametrize("raw", NASTY, ids=repr)
def test_nothing_nasty_is_shown_as_it_is(raw: bytes) -> None:
    assert show(raw) == show(os.fsdecode(raw)) == show_path((raw,))
    assert show(raw).isprintable()
    assert show(raw).encode() != raw


def test_characters_and_bytes_of_a_number_differ() -> None:
    assert show(b"\x9b") == r"\x9b"
    assert show("\x9b") == r"\u009b"
    assert show("\x1b\n\U000e0041\\") == r"\x1b\n\U000e0041\\"
    assert show("caf\u00e9 \u6f22\u5b57 \U0001f600") == "caf\u00e9 \u6f22\u5b57 \U0001f600"


def test_bytes_that_are_utf8_together_are_text() -> None:
    """As a process in the C locale has them."""
    apart = "\udcc3\udca9"
    assert show(apart) == "\u00e9"
    assert to_stored(apart) == "\u00e9"


@given(any_text)
def test_anything_can_be_stored_and_comes_back(text: str) -> None:
    stored = to_stored(text)
    stored.encode()
    try:
        assert to_bytes(from_stored(stored)) == to_bytes(text)
    except UnicodeEncodeError:
        assert from_stored(stored) == text


@given(st.text(st.characters(exclude_characters="\0")))
def test_what_is_unicode_is_stored_as_it_is(text: str) -> None:
    assert to_stored(text) == from_stored(text) == text


@given(st.lists(st.sampled_from(["\0", "e", "9", "0", "u", "d", "8", "\udce9", "\ud800"])))
def test_what_looks_like_an_escape_is_none(parts: list[str]) -> None:
    text = "".join(parts)
    assert from_stored(to_stored(text)) == text


def test_nul_of_others_stays() -> None:
    assert from_stored("a\0b\0zz\0") == "a\0b\0zz\0"


class Inner(msgspec.Struct):
    name: str
    parts: tuple[str, ...] = ()


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    said: str
    inner: list[Inner]
    by_name: dict[str, int]


@given(system_text, st.lists(system_text), st.dictionaries(system_text, st.integers(0, 9)))
def test_json_takes_any_text(said: str, names: list[str], by_name: dict[str, int]) -> None:
    given_ = Outer(said, [Inner(name, (name, "")) for name in names], by_name)
    body = encode_json(given_)
    body.decode()
    assert decode_json(body, Outer) == given_


def test_json_without_odd_text_is_the_usual_one() -> None:
    value = Outer("caf\u00e9", [], {"a": 1})
    assert encode_json(value) == msgspec.json.encode(value)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"said":"\\u0000e9"}', b"[" * 90_000])
def test_other_json_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode_json(body, Outer)


class MuteError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_an_error_that_cannot_say_what_it_is_has_a_name() -> None:
    assert "MuteError" in describe_error(MuteError())
    assert describe_error(ValueError("x")) == "x"
