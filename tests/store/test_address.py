"""What is a directory and what is a URL, and what each leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import InvalidError, NotAStoreError
from volfs.store.address import Address, find_local_path, parse_address
from volfs.store.location import choose_store
from volfs.store.registry import open_store


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/s", "/s"),
        ("/a b/s", "/a b/s"),
        ("/a%20b", "/a%20b"),
        ("file:///s", "/s"),
        ("FILE:///s", "/s"),
        ("File:/s", "/s"),
        ("file://localhost/s", "/s"),
        ("file:///a%20b/%25", "/a b/%"),
        ("file:///a?b#c", "/a?b#c"),
        ("file:///%ff", "/\udcff"),
        ("file:///%FF/\udcfe", "/\udcff/\udcfe"),
        ("/\udcff", "/\udcff"),
        ("file:///s/../t", "/t"),
    ],
)
def test_absolute_paths(text: str, path: str) -> None:
    assert find_local_path(text) == Path(path)
    assert choose_store(text) == path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("s", "s"),
        ("s3:", "s3:"),
        ("s3:bucket", "s3:bucket"),
        ("a:b", "a:b"),
        ("a:b/c", "a:b/c"),
        ("with space", "with space"),
        ("file:s", "s"),
        ("file:a%20b", "a b"),
        ("./file:s", "file:s"),
        ("./s3://x", "s3:/x"),
        ("1x://y", "1x:/y"),
    ],
)
def test_relative_paths(
    text: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_local_path(text) == tmp_path / name
    assert choose_store(text) == str(tmp_path / name)
    if "/" not in text:
        open_store(text, create=True).close()
        assert (tmp_path / name / "format").exists()


@pytest.mark.parametrize(
    "text",
    ["", "file:", "file://", "file://host/s", "file://s", "FILE://Host/s", "file:///%00", "/a\0b"],
)
def test_what_names_no_directory(text: str) -> None:
    with pytest.raises(NotAStoreError) as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


def test_buckets_have_no_path_and_one_form() -> None:
    for text in ("s3://bucket/prefix", "S3://bucket/prefix/"):
        address = parse_address(text)
        assert address == Address("s3", "bucket/prefix/")
        assert address.local_path is None
        assert address.text == "s3://bucket/prefix/"
    options = ("region=r", "endpoint=http://one:80/")
    forms = {choose_store(f"s3://bucket?{'&'.join(said)}") for said in (options, options[::-1])}
    assert forms == {"s3://bucket/?endpoint=http://one:80&region=r"}
    with pytest.raises(InvalidError, match="no user and no key"):
        parse_address("s3://key:secret@bucket")


paths = st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b)


@given(paths)
def test_any_bytes_can_be_named(path: bytes) -> None:
    text = os.fsdecode(b"/" + path)
    escaped = "file:///" + "".join(f"%{byte:02x}" for byte in path)
    assert choose_store(text) == os.path.abspath(text)
    assert choose_store(escaped) == os.path.abspath(text)
    assert choose_store(choose_store(escaped)) == choose_store(escaped)
