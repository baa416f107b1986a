"""Uploads over an object that somebody else has replaced meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from volfs.bucketfs.names import Facts, to_facts
from volfs.bucketfs.staged import create_staged
from volfs.bucketfs.uploads import WHOLE_MAX, IfReplaced, make_source, upload
from volfs.buckets.access import Bucket, open_memory_bucket
from volfs.errors import OverriddenError
from volfs.model.objects import Buffer

LARGE = b"x" * (WHOLE_MAX + 1)


def put(bucket: Bucket, folder: Path, data: bytes, base: Facts | None, what: IfReplaced) -> None:
    """Upload ``data``, which was written over an object or over none."""
    staged = create_staged(folder / "1", "key", base)
    try:
        staged.truncate(0)
        staged.write(0, data)
        upload(bucket, "key", make_source(staged, None), what)
    finally:
        staged.remove()


@pytest.mark.parametrize("data", [b"ours", LARGE], ids=["one request", "parts"])
@pytest.mark.parametrize("is_new", [True, False])
def test_what_others_wrote_is_left_if_asked(tmp_path: Path, data: bytes, is_new: bool) -> None:
    bucket = open_memory_bucket()
    base = None if is_new else to_facts(bucket.put("key", b"before"))
    bucket.put("key", b"theirs")
    with pytest.raises(OverriddenError, match="somebody else wrote it"):
        put(bucket, tmp_path, data, base, IfReplaced.REFUSE)
    assert bucket.get("key")[1] == b"theirs"
    assert bucket.list_leftovers() == []
    put(bucket, tmp_path, data, to_facts(bucket.head("key")), IfReplaced.REFUSE)
    assert bytes(bucket.get("key")[1]) == data
    bucket.close()


@pytest.mark.parametrize("data", [b"ours", LARGE], ids=["one request", "parts"])
def test_what_others_wrote_is_overwritten_and_logged(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = open_memory_bucket()
    bucket.put("key", b"theirs")
    put(bucket, tmp_path, data, None, IfReplaced.OVERWRITE)
    assert caplog.messages == []
    put(bucket, tmp_path, data, None, IfReplaced.LOG)
    assert caplog.messages == ["key: somebody else wrote it meanwhile, and is overwritten"]
    caplog.clear()
    assert bytes(bucket.get("key")[1]) == data
    bucket.close()


def test_one_more_byte_uploads_the_whole_object(tmp_path: Path) -> None:
    bucket, asked = open_memory_bucket(), list[int]()
    base = to_facts(bucket.put("key", LARGE))
    staged = create_staged(tmp_path / "1", "key", base)

    def read_object(offset: int, length: int) -> Buffer:
        asked.append(length)
        return bucket.get_range("key", offset, length, etag=base.etag)

    try:
        staged.write(len(LARGE), b"y")
        upload(bucket, "key", make_source(staged, read_object), IfReplaced.REFUSE)
    finally:
        staged.remove()
    assert sum(asked) == len(LARGE)
    assert bucket.get("key")[1] == LARGE + b"y"
