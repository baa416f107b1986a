"""Names of elements without their namespaces, wherever those are declared; and times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.buckets.doors.xml_answers import get_text, parse, parse_time

KEY = 'a xmlns="b" &lt;c xmlns="d"&gt;'


@pytest.mark.parametrize(
    "text",
    [
        "<R><Key>{}</Key></R>",
        '<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Key>{}</Key></R>',
        "<?xml version='1.0'?>\n<R xmlns='urn:a'><Key>{}</Key></R>",
        '<R a="1" xmlns="urn:a"><Key>{}</Key></R>',
        '<R><Key xmlns="urn:a">{}</Key></R>',
        '<R xmlns="urn:a"><Key xmlns="urn:b">{}</Key></R>',
        '<x:R xmlns:x="urn:a"><x:Key>{}</x:Key></x:R>',
        '<R xmlns="urn:a" xmlns:x="urn:b"><x:Key>{}</x:Key></R>',
    ],
)
def test_elements_have_no_namespace_and_texts_are_whole(text: str) -> None:
    root = parse(text.format(KEY).encode())
    assert root.tag == "R"
    assert get_text(root, "Key") == 'a xmlns="b" <c xmlns="d">'


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_a_time_is_exact(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    seconds = int(aware.replace(microsecond=0).timestamp())
    wanted = seconds * 10**9 + moment.microsecond * 1000
    assert parse_time(moment.isoformat() + "Z") == wanted
