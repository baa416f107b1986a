"""Names of volumes and entries, and paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import InvalidNameError, InvalidPathError
from volfs.model.names import (
    MAIN,
    NAME_MAX,
    PATH_MAX,
    check_environment,
    check_volume_name,
    is_entry_name,
    join_name,
    join_path,
    parse_path,
    show_path,
    split_name,
)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "x" * 64, "...", ".a", "-", "-x"])
def test_volume_names(name: str) -> None:
    assert check_volume_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 65, "a b", "a/b", "é", "a\n", "a\0", "٣"])
def test_refused_volume_names(name: str) -> None:
    with pytest.raises(InvalidNameError):
        check_volume_name(name)


@pytest.mark.parametrize("name", [b"a", b"...", b" ", b"\xff", b"\n", b"x" * NAME_MAX])
def test_entry_names(name: bytes) -> None:
    assert is_entry_name(name)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"\0", b"x" * (NAME_MAX + 1)])
def test_refused_entry_names(name: bytes) -> None:
    assert not is_entry_name(name)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("/", ()),
        (".", ()),
        ("a", (b"a",)),
        ("/a//b/./c/", (b"a", b"b", b"c")),
        ("é\udcff", (b"\xc3\xa9\xff",)),
        (b"\xff/x", (b"\xff", b"x")),
    ],
)
def test_parsing(text: str | bytes, path: tuple[bytes, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["..", "a/../b", "a\0b", "x" * 256, "\ud800", "a/" * (PATH_MAX // 2) + "a"]
)
def test_refused_paths(text: str) -> None:
    with pytest.raises(InvalidPathError) as raised:
        parse_path(text)
    assert str(raised.value).isprintable()


@given(st.lists(st.binary(min_size=1, max_size=9).filter(is_entry_name)))
def test_joining_and_parsing(names: list[bytes]) -> None:
    assert parse_path(join_path(tuple(names))) == tuple(names)


def test_the_root_is_a_dot() -> None:
    assert join_path(()) == b"."
    assert show_path(()) == "."


@given(st.binary())
def test_shown_paths_are_printable(raw: bytes) -> None:
    assert show_path(raw).isprintable()


def test_what_cannot_be_shown_is_escaped() -> None:
    assert show_path("é".encode()) == "é"
    assert show_path(b"a\nb\xff") == "a\\nb\\xff"
    assert show_path((b"a", b"b")) == "a/b"


@pytest.mark.parametrize("name", ["main", "a", "9", "Dev_1-x", "x" * 64, "e", "en", "ap-1"])
def test_environments(name: str) -> None:
    assert check_environment(name, is_new=True) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "_a",
        ".",
        ".a",
        "a/b",
        "a b",
        "ä",
        "a\n",
        "x" * 65,
        "en-1",
        "EN-x",
        "ap-" + "a" * 22,
    ],
)
def test_bad_environments(name: str) -> None:
    with pytest.raises(InvalidNameError, match="Invalid Environment name"):
        check_environment(name)


def test_only_an_old_environment_has_periods() -> None:
    assert check_environment("v1.2") == "v1.2"
    with pytest.raises(InvalidNameError):
        check_environment("v1.2", is_new=True)


@pytest.mark.parametrize(
    ("said", "parts"),
    [("x", (None, "x")), ("prod/x", ("prod", "x")), ("/x", ("", "x")), ("a/b/c", ("a", "b/c"))],
)
def test_a_name_with_its_environment(said: str, parts: tuple[str | None, str]) -> None:
    assert split_name(said) == parts


def test_a_full_name_is_split_into_what_it_was_made_of() -> None:
    for environment in (MAIN, "prod"):
        found, name = split_name(join_name(environment, "x"))
        assert (found or MAIN, name) == (environment, "x")
