"""Addresses of buckets: what they mean, what is refused, and that no secret is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.buckets.address import (
    BucketAddress,
    check_bucket_address,
    hide_keys,
    is_bucket_address,
    parse_bucket_address,
)
from volfs.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://data", BucketAddress("s3", "data")),
        ("S3://data/", BucketAddress("s3", "data")),
        ("s3://data/a/b", BucketAddress("s3", "data", "a/b/")),
        ("s3://data/a%20b%3F/", BucketAddress("s3", "data", "a b?/")),
        ("s3://data/a?region=eu-north-1", BucketAddress("s3", "data", "a/", region="eu-north-1")),
        (
            "s3://data?endpoint=http://127.0.0.1:9000/&style=path",
            BucketAddress("s3", "data", endpoint="http://127.0.0.1:9000", style="path"),
        ),
        (
            "s3://data?endpoint=https%3A%2F%2Fr2.example",
            BucketAddress("s3", "data", endpoint="https://r2.example"),
        ),
        ("gs://data/x", BucketAddress("gs", "data", "x/")),
        ("az://account/box/x/y", BucketAddress("az", "box", "x/y/", account="account")),
    ],
)
def test_what_an_address_means(text: str, address: BucketAddress) -> None:
    assert parse_bucket_address(text) == address
    assert parse_bucket_address(address.text) == address
    assert is_bucket_address(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data", "a bucket's address is a URL"),
        ("/data", "a bucket's address is a URL"),
        ("http://data", "http:// is not known"),
        ("s3://", "no bucket is named"),
        ("s3:///x", "no bucket is named"),
        ("s3://a", "2 or more"),
        ("s3://da ta", "letters, digits"),
        ("gs://DATA", "small letters"),
        ("az://account", "no bucket is named"),
        ("az://a/box", "3 to 24"),
        ("s3://data?region=", "has no value"),
        ("s3://data?region=a b", "no name of a region"),
        ("s3://data?region=a&region=b", "given twice"),
        ("s3://data?style=dns", "use path or host"),
        ("gs://data?region=x", "not known; an address may have endpoint"),
        ("s3://data?endpoint=localhost:9000", "use https://HOST"),
        ("s3://data?endpoint=http://h:x", "not a URL"),
        ("s3://data?endpoint=http://h:99999", "not a URL"),
        ("s3://data?endpoint=http://[bad", "not a URL"),
        ("s3://data?endpoint=http://a b", "use https://HOST"),
        ("s3://data?endpoint=http://:80", "use https://HOST"),
        ("s3://data?endpoint=ftp://h", "use https://HOST"),
        ("s3://data?endpoint=http://h/%3Fx", "no '?'"),
        ("s3://data/a%00b", "no NUL"),
        ("s3://data/" + "a" * 1024, "fewer than 1024"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        parse_bucket_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:hush@data/x",
        "s3://AKIA:hu/hush@data/x",
        "s3://AKIA:hush/+@data",
        "gs://GOOG:hush/a@data",
        "s3://data?endpoint=AKIA:hush@host",
        "s3://hush@data",
        "s3://data?secret_access_key=hush",
        "s3://data?endpoint=https://user:hush@host",
        "az://account:hush@x/box",
        "az://account/box?sas=hush",
        "s3://data?endpoint=https://host/?sig=hush",
    ],
)
def test_a_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_bucket_address(text)
    assert "hush" not in str(caught.value)
    assert "hush" not in hide_keys(text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80))
def test_every_prefix_comes_back(prefix: str) -> None:
    address = check_bucket_address(BucketAddress("s3", "data", prefix, endpoint="http://h:1/p"))
    assert parse_bucket_address(address.text) == address
