"""Large directories: read page by page, and nothing of what was read is kept for long."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
import trio

from tests.bucketfs.conftest import NewRig
from tests.bucketfs.rig import BucketRig
from volfs.bucketfs.listing import PAGES
from volfs.bucketfs.nodes import ROOT_INO
from volfs.buckets.objects import ObjectInfo, Page, TellNext
from volfs.errors import EntryExistsError, StoreUnavailableError

NAMES = 200_000


def make_page(prefix: str, *, after: str | None = None, limit: int = 1000, **_: Any) -> Page:
    """Of a bucket that has ``0000000`` and so on at its top, and nothing else."""
    if prefix:
        return Page([], [], None)
    first = int(after or 0)
    last = min(first + limit, NAMES)
    objects = [ObjectInfo(f"{n:07}", n, n, f'"{n}"') for n in range(first, last)]
    return Page(objects, [], str(last) if last < NAMES else None)


async def test_many_names_take_no_memory(rig: BucketRig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def list_page(prefix: str, **options: Any) -> Page:
        asked.append(options.get("after"))
        return make_page(prefix, **options)

    monkeypatch.setattr(rig.bucket, "list_page", list_page)
    directories, nodes = rig.files.directories, rig.state.nodes
    number, at, count = directories.open(ROOT_INO), 2, 0
    while (window := await directories.get_window(number, at)) is not None:
        for listed in window.entries[at - window.first :]:
            node = directories.bind(rig.state.nodes.root, listed)
            assert node is not None
            assert listed.name == b"%07d" % count
            count += 1
            nodes.drop_if_idle(node)  # as where the kernel has forgotten it
        at = window.after
        rig.now += 0.1
    assert count == NAMES
    assert len(asked) == NAMES / 1000
    assert len(nodes) == 1
    assert len(nodes.root.listing.pages) <= PAGES
    asked.clear()
    rig.now += 10
    for name in range(150_000, 150_500):  # one request for all of a page
        assert await rig.find(f"{name:07}") is not None
    assert len(asked) <= 2
    # Going back in a listing begins at the page that has the entry.
    window = await directories.get_window(number, 100_500)
    assert window is not None
    listed = window.entries[100_500 - window.first]
    assert listed is not None
    assert listed.name == b"0100498"
    directories.release(number)


async def test_a_quick_reader_does_not_wait_for_the_next_page(
    rig: BucketRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, third, told = list[str | None](), threading.Event(), threading.Event()

    def list_page(prefix: str, *, tell: TellNext, **options: Any) -> Page:
        token = options.get("after")
        asked.append(token)
        if token == "2000":
            third.set()
        page = make_page(prefix, **options)
        if token is None:
            tell(page.next)
            told.set()
        return page

    monkeypatch.setattr(rig.bucket, "list_page", list_page)
    directories = rig.files.directories
    number, at = directories.open(ROOT_INO), 2
    for _ in range(2):
        window = await directories.get_window(number, at)
        assert window is not None
        at = window.after
    assert told.is_set()
    await trio.to_thread.run_sync(third.wait)  # Nobody has asked for that page yet.
    asked.clear()
    for _ in range(10):  # A slow reader has no page asked for that would be too old.
        rig.now += 1.1
        window = await directories.get_window(number, at)
        assert window is not None
        at = window.after
    assert len(asked) == 10
    directories.release(number)


async def test_what_was_listed_a_moment_ago_is_not_listed_again(new_rig: NewRig) -> None:
    rig = new_rig(keys={f"d/{number:04}": b"x" for number in range(2500)})
    assert len(await rig.list("d")) == 2500
    first = rig.bucket.asked["list"]
    assert first == 3 + 1  # and one to find the directory
    rig.now += 0.9
    assert len(await rig.list("d")) == 2500
    assert rig.bucket.asked == {"list": first}
    rig.now += 0.2
    assert len(await rig.list("d")) == 2500
    assert rig.bucket.asked == {"list": 2 * first}


async def test_lookups_ask_once_and_are_believed(new_rig: NewRig) -> None:
    rig = new_rig(keys={f"d/{n}": b"x" for n in range(20)}, metadata_ttl=1.0)
    await rig.list("d")
    before = rig.bucket.asked["list"]
    for n in range(20):
        assert await rig.find(f"d/{n}") is not None
    assert await rig.find("d/absent") is None
    assert rig.bucket.asked["list"] == before
    rig.others.put("d/absent", b"now")
    assert await rig.find("d/absent") is None
    rig.now += 1.1
    assert await rig.find("d/absent") is not None
    assert rig.bucket.asked["head"] == 0
    assert rig.bucket.asked["list"] == before + 2  # of the root and of ``d``


async def test_own_changes_are_seen_at_once(new_rig: NewRig) -> None:
    rig = new_rig(keys={"old": b"x"}, metadata_ttl=60.0)
    naming, files = rig.files.naming, rig.files
    assert await rig.list() == ["old"]
    number, *_ = await files.create(ROOT_INO, b"new", os.O_WRONLY)
    assert await rig.list() == ["new", "old"]
    assert [info.key for info in rig.others.list_page("").objects] == ["old"]
    await files.flush(number)
    await files.release(number)
    await naming.unlink(ROOT_INO, b"old")
    await naming.make_directory(ROOT_INO, b"made")
    assert await rig.list() == ["made/", "new"]
    rig.others.put("theirs", b"")
    with pytest.raises(EntryExistsError):
        await files.create(ROOT_INO, b"theirs", os.O_WRONLY | os.O_EXCL)


async def test_what_fails_changes_nothing(new_rig: NewRig) -> None:
    rig = new_rig(keys={"a": b"a", "d/x": b"x"}, metadata_ttl=60.0)
    naming, renaming = rig.files.naming, rig.files.renaming
    listed = await rig.list()
    await rig.list("d")
    for verb in ("put", "copy", "delete"):
        rig.bucket.failing[verb] = StoreUnavailableError("no network")
    for change in (
        naming.make_directory(ROOT_INO, b"new"),
        naming.unlink(ROOT_INO, b"a"),
        renaming.rename(ROOT_INO, b"a", ROOT_INO, b"b", replaces=True),
        renaming.rename(ROOT_INO, b"d", ROOT_INO, b"e", replaces=True),
        rig.files.create(ROOT_INO, b"f", os.O_WRONLY | os.O_EXCL),
    ):
        with pytest.raises(StoreUnavailableError):
            await change
        assert await rig.list() == listed
        assert await rig.list("d") == ["x"]
