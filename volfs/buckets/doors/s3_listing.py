"""Pages of S3's listings, read quickly.

A page has a thousand entries of five elements or more. An XML parser that builds a tree spends 10
µs on each entry. So the texts of the entries are found by one expression, if all entries have the
tags of the first one and nothing is between them. Everything around the entries, and every page
of another form, goes through the XML parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from volfs.buckets.doors.xml_answers import get_text, iter_texts, parse, parse_time
from volfs.buckets.objects import ObjectInfo, Page, TellNext

ETAG, GENERATION = "ETag", "Generation"
_OPEN, _CLOSE = b"<Contents>", b"</Contents>"
_PREFIXES, _TAG = b"<CommonPrefixes>", re.compile(rb"<([^>]*)>")
_QUOTES = (b"&#34;", b"&quot;")
_NOT_AS_IT_IS = bytes(byte for byte in range(32) if byte not in b"\t\n")
"""Bytes that XML does not have, or that a parser changes."""
_new_info = partial(tuple.__new__, ObjectInfo)  # A call of the class takes thrice as long.
_parse_time = lru_cache(maxsize=4096)(parse_time)


class Columns(NamedTuple):
    """The texts of a page's entries, as the service wrote them."""

    keys: Sequence[str]
    sizes: Sequence[str]
    times: Sequence[str]
    tags: Sequence[str]


def read_listing(body: bytes, tag: str = ETAG, tell: TellNext | None = None) -> Page:
    """The page in an answer. ``tag`` is the element that says which object it is. ``tell`` is
    called with the token of the next page as soon as that is known.

    ``RequestFailure`` if the body is no XML.
    """
    around, entries = _split(body)
    root = parse(around)
    after = None
    if get_text(root, "IsTruncated") == "true":
        after = get_text(root, "NextContinuationToken")
    if tell is not None:
        tell(after)
    columns = _find_columns(entries, tag) if entries else None
    if columns is None:
        root, columns = _read_tree(body, tag)
    is_encoded = has_encoded_keys(root)
    prefixes = decode_keys(list(iter_texts(root, "CommonPrefixes/Prefix")), is_encoded)
    return Page(_to_objects(columns, is_encoded), prefixes, after)


def _to_objects(columns: Columns, is_encoded: bool) -> list[ObjectInfo]:
    keys = decode_keys(columns.keys, is_encoded)
    sizes = [int(text or 0) for text in columns.sizes]
    times, tags = map(_parse_time, columns.times), map(quote_etag, columns.tags)
    return list(map(_new_info, zip(keys, sizes, times, tags, strict=True)))


def has_encoded_keys(root: Element) -> bool:
    """Whether the service encoded the keys of a listing."""
    return get_text(root, "EncodingType") == "url"


def decode_keys(texts: Sequence[str], is_encoded: bool) -> list[str]:
    """The keys of a listing. A service encodes the characters that XML cannot have."""
    if not is_encoded:
        return list(texts)
    return [unquote_plus(text) if "%" in text or "+" in text else text for text in texts]


def quote_etag(text: str) -> str:
    """The ETag as headers have it: some services leave the quotes out of listings."""
    return text if not text or text.startswith(('"', "W/")) else f'"{text}"'


# --- by an expression ---------------------------------------------------------


def _split(body: bytes) -> tuple[bytes, bytes]:
    """The page without its entries, and the entries; without them if it may have another form."""
    first, last = body.find(_OPEN), body.rfind(_CLOSE)
    if first < 0 or last < first or b"<!" in body:
        return body, b""
    end = last + len(_CLOSE)
    return body[:first] + body[end:], body[first:end]


def _find_columns(entries: bytes, tag: str) -> Columns | None:
    if len(entries.translate(None, _NOT_AS_IT_IS)) != len(entries) or _PREFIXES in entries:
        return None
    for quote in _QUOTES:
        entries = entries.replace(quote, b'"')
    names, expression = _make_expression(entries[: entries.find(_CLOSE)])
    wanted = (b"Key", b"Size", b"LastModified", tag.encode())
    if b"&" in entries or any(names.count(name) != 1 for name in wanted):
        return None
    found = expression.findall(entries)
    if len(found) != entries.count(_OPEN):
        return None
    texts = list(zip(*found, strict=True))
    columns = [_decode(texts[names.index(name)]) for name in wanted]
    return None if None in columns else Columns(*(column or [] for column in columns))


def _make_expression(entry: bytes) -> tuple[list[bytes], re.Pattern[bytes]]:
    """The names of an entry's plain elements, and the expression for entries of the same tags."""
    tags = _TAG.findall(entry)
    names = [name for name, after in pairwise(tags) if after == b"/" + name]
    row = b"".join(
        rb"<%s>%s" % (re.escape(name), rb"([^<]*)" if after == b"/" + name else rb"\s*")
        for name, after in pairwise([*tags, b"/Contents"])
    )
    return names, re.compile(row + re.escape(_CLOSE))


def _decode(texts: Sequence[bytes]) -> list[str] | None:
    try:
        found = b"\n".join(texts).decode().split("\n")
    except UnicodeDecodeError:
        return None
    return found if len(found) == len(texts) else None  # A text with a line feed in it.


# --- by the parser ------------------------------------------------------------


def _read_tree(body: bytes, tag: str) -> tuple[Element, Columns]:
    root = parse(body)
    entries = root.findall("Contents")
    names = ("Key", "Size", "LastModified", tag)
    return root, Columns(*([get_text(entry, name) for entry in entries] for name in names))
