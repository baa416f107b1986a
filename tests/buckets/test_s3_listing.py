"""Pages of listings: what the quick expression finds is what the XML parser finds."""

from __future__ import annotations

from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.buckets.answers import RequestFailure
from volfs.buckets.doors import s3_listing
from volfs.buckets.doors.s3_listing import ETAG, GENERATION, read_listing
from volfs.buckets.objects import ObjectInfo, Page

TIME, TIME_NS = "2026-01-31T12:00:00.250Z", 1_769_860_800_250_000_000
ROOT = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="urn:s3">'
SHAPES = (
    "<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>{tag}</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
    "<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size><Owner><ID>1</ID>"
    "<DisplayName/></Owner><LastModified>{time}</LastModified></Contents>",
    "\n  <Contents>\n    <Key>{key}</Key>\n    <Size>{size}</Size>\n    <ETag>{tag}</ETag>\n"
    "    <LastModified>{time}</LastModified>\n  </Contents>",
    "<Contents><Generation>{tag}</Generation><Key>{key}</Key><ETag>x</ETag><Size>{size}</Size>"
    "<LastModified>{time}</LastModified></Contents>",
)
texts = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
    max_size=12,
)
entries = st.tuples(texts, st.integers(0, 1 << 42), st.sampled_from(["ab", "0", "é-2"]))


def quote_as(text: str, quotes: str) -> str:
    return f"{quotes}{escape(text)}{quotes}"


@given(
    st.lists(entries, max_size=8),
    st.lists(texts, max_size=3),
    st.lists(st.sampled_from(SHAPES[:3]), min_size=1, max_size=2),
    st.booleans(),
    st.sampled_from(["&#34;", "&quot;", '"', "&#x22;", ""]),
    st.sampled_from(["", "<!-- a -->", "<Name>b</Name>"]),
)
def test_a_page_is_what_the_service_wrote(
    found: list[tuple[str, int, str]],
    prefixes: list[str],
    shapes: list[str],
    is_encoded: bool,
    quotes: str,
    more: str,
) -> None:
    def encode(key: str) -> str:
        return quote(key, safe="/") if is_encoded else escape(key)

    rows = "".join(
        shapes[at % len(shapes)].format(
            key=encode(key), time=TIME, size=size, tag=quote_as(tag, quotes)
        )
        for at, (key, size, tag) in enumerate(found)
    )
    below = "".join(
        f"<CommonPrefixes><Prefix>{encode(text)}/</Prefix></CommonPrefixes>" for text in prefixes
    )
    encoding = "<EncodingType>url</EncodingType>" * is_encoded
    after = "<IsTruncated>true</IsTruncated><NextContinuationToken>t+1</NextContinuationToken>"
    body = f"{ROOT}{encoding}{more}{after}{rows}{below}</ListBucketResult>"
    told: list[str | None] = []
    page = read_listing(body.encode(), ETAG, told.append)
    objects = [ObjectInfo(key, size, TIME_NS, f'"{tag}"') for key, size, tag in found]
    assert page == Page(objects, [f"{text}/" for text in prefixes], "t+1")
    assert told == ["t+1"]


def test_equal_entries_need_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each order of elements, also of Google's, whose objects are known by generations."""
    monkeypatch.delattr(s3_listing, "_read_tree")
    for shape in SHAPES:
        tag = GENERATION if shape is SHAPES[3] else ETAG
        rows = [shape.format(key=f"k{n}", time=TIME, size=n, tag="&#34;a&#34;") for n in range(3)]
        body = f"{ROOT}<IsTruncated>false</IsTruncated>{''.join(rows)}</ListBucketResult>"
        objects = [ObjectInfo(f"k{n}", n, TIME_NS, '"a"') for n in range(3)]
        assert read_listing(body.encode(), tag) == Page(objects, [], None)


@pytest.mark.parametrize("cut", [1, 12, 60, 200])
def test_half_a_page_is_no_page(cut: int) -> None:
    rows = SHAPES[0].format(key="k", time=TIME, size=1, tag="a") * 3
    body = f"{ROOT}{rows}</ListBucketResult>".encode()
    with pytest.raises(RequestFailure):
        read_listing(body[:-cut])
