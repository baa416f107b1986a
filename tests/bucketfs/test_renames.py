"""Renames at their limits, and without the right to delete."""

from __future__ import annotations

import errno

import pytest

from tests.bucketfs.conftest import NewRig
from tests.bucketfs.rig import BucketRig
from volfs.bucketfs import renaming
from volfs.bucketfs.nodes import ROOT_INO
from volfs.buckets.access import iter_objects
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import ObjectHead, ObjectInfo, Page
from volfs.errors import CrossDeviceError, StoreDeniedError
from volfs.fuse.errno_map import to_errno

S3_COPY_MAX = 5 << 30


class LargeDoor(MemoryDoor):
    """Says of some objects that they are larger than their bytes, and copies none above S3's
    limit."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        self.sizes = sizes

    def head(self, key: str, timeout: float) -> ObjectHead:
        found = super().head(key, timeout)
        return found._replace(info=self._enlarge(found.info))

    def list_page(self, *arguments: object, **options: object) -> Page:
        page = super().list_page(*arguments, **options)  # type: ignore[arg-type]
        return page._replace(objects=[self._enlarge(info) for info in page.objects])

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo:
        size = self.sizes.get(source)
        if size is not None and size > S3_COPY_MAX:
            raise RequestFailure(FailureKind.INVALID, "too large to copy", status=400)
        copied = super().copy(source, target, create, timeout)
        if size is not None:
            self.sizes[target] = size
        return self._enlarge(copied)

    def _enlarge(self, info: ObjectInfo) -> ObjectInfo:
        return info._replace(size=self.sizes.get(info.key, info.size))


async def rename(rig: BucketRig, old: str, new: str) -> None:
    await rig.files.renaming.rename(ROOT_INO, old.encode(), ROOT_INO, new.encode(), replaces=True)


def list_keys(rig: BucketRig) -> list[str]:
    return [info.key for info in iter_objects(rig.others)]


async def test_as_many_objects_as_a_rename_takes_and_one_more(
    rig: BucketRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker of a directory is an object, too. What is refused changes nothing."""
    monkeypatch.setattr(renaming, "OBJECTS_MAX", 5)
    keys = ["d/", "d/a", "d/b", "d/e/", "d/e/c"]
    for key in [*keys, "f"]:
        rig.others.put(key, key.encode())
    rig.others.put("d/e/one-more", b"")
    before = list_keys(rig)
    with pytest.raises(CrossDeviceError) as caught:
        await rename(rig, "d", "moved")
    assert to_errno(caught.value) == errno.EXDEV
    assert list_keys(rig) == before
    assert rig.bucket.asked["copy"] == rig.bucket.asked["put"] == 0
    assert await rig.list("d/e") == ["c", "one-more"]
    assert await rig.find("moved") is None
    rig.others.delete("d/e/one-more")
    await rename(rig, "d", "moved")
    assert list_keys(rig) == ["f", *(key.replace("d/", "moved/", 1) for key in keys)]
    assert await rig.list() == ["f", "moved/"]
    assert await rig.read("moved/e/c") == b"d/e/c"


async def test_ten_thousand_objects(new_rig: NewRig) -> None:
    """The real limit: exactly as many are renamed, and one more is not."""
    keys = {f"d/{number:05}": b"" for number in range(10_000)}
    rig = new_rig(keys={**keys, "d/one-more": b""})
    with pytest.raises(CrossDeviceError):
        await rename(rig, "d", "e")
    assert rig.bucket.asked["copy"] == 0
    rig.others.delete("d/one-more")
    await rename(rig, "d", "e")
    assert list_keys(rig) == [key.replace("d/", "e/") for key in keys]


async def test_an_object_as_large_as_a_copy_may_be_and_one_byte_more(new_rig: NewRig) -> None:
    """As a file of its own, and as one of a directory's files."""
    sizes = {"file": S3_COPY_MAX + 1, "d/large": S3_COPY_MAX + 1}
    door = LargeDoor(sizes)
    rig = new_rig(keys={"file": b"", "d/a": b"a", "d/large": b"", "there": b"t"}, door=door)
    before = list_keys(rig)
    for old, new in (("file", "there"), ("file", "new"), ("d", "e")):
        with pytest.raises(CrossDeviceError) as caught:
            await rename(rig, old, new)
        assert to_errno(caught.value) == errno.EXDEV
    assert list_keys(rig) == before
    assert rig.bucket.asked["copy"] == 0
    assert await rig.read("there") == b"t"
    rig.now += 10  # others replace the objects with smaller ones
    sizes.update(dict.fromkeys(sizes, S3_COPY_MAX))
    await rename(rig, "file", "there")
    await rename(rig, "d", "e")
    assert list_keys(rig) == ["e/a", "e/large", "there"]
    assert rig.others.head("there").size == rig.others.head("e/large").size == S3_COPY_MAX


async def test_who_may_not_delete_has_both_after_a_rename(new_rig: NewRig) -> None:
    """The copies are seen at once, nothing is lost, and a second try is as good as the first."""
    rig = new_rig(keys={"a": b"a", "d/x": b"x", "d/y": b"y"}, metadata_ttl=60.0)
    assert await rig.list() == ["a", "d/"]
    for verb in ("delete", "delete many"):
        rig.bucket.failing[verb] = StoreDeniedError("these credentials may not do that")
    for old, new in (("a", "b"), ("d", "e")):
        with pytest.raises(StoreDeniedError) as caught:
            await rename(rig, old, new)
        assert to_errno(caught.value) == errno.EACCES
    assert list_keys(rig) == ["a", "b", "d/x", "d/y", "e/x", "e/y"]
    assert await rig.list() == ["a", "b", "d/", "e/"]
    for path in ("a", "b", "d/x", "e/x"):
        assert await rig.read(path) == path[-1].encode().replace(b"b", b"a")
    rig.bucket.failing.clear()
    await rename(rig, "a", "b")
    assert await rig.list() == ["b", "d/", "e/"]
