"""Walks through directories: one request for many of them, and never anything but the truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bucketfs.conftest import NewRig
from tests.bucketfs.rig import BucketRig
from volfs.bucketfs import walks
from volfs.bucketfs.walks import split_page
from volfs.buckets.objects import ObjectInfo, Page


async def walk(rig: BucketRig, path: str = "") -> list[str]:
    """As ``find`` does: all paths, each directory listed before what is in it."""
    names = [f"{path}{name}" for name in await rig.list(path.rstrip("/"))]
    inner = [await walk(rig, name) for name in names if name.endswith("/")]
    return [*names, *(found for below in inner for found in below)]


def list_paths(keys: list[str]) -> list[str]:
    """All paths of keys, directories with a slash."""
    found = set(keys)
    for key in keys:
        parts = key.split("/")[:-1]
        found |= {"/".join(parts[: at + 1]) + "/" for at in range(len(parts))}
    return sorted(found)


async def test_a_walk_in_order_costs_few_requests(new_rig: NewRig) -> None:
    keys = [f"a{n // 200}/b{n // 20 % 10}/c{n % 20:02}" for n in range(6000)]
    rig = new_rig(keys=dict.fromkeys(keys, b""), metadata_ttl=60.0)
    assert sorted(await walk(rig)) == list_paths(keys)
    assert rig.bucket.asked["list"] <= 30  # of 330 directories, and 6 thousands of keys
    assert set(rig.bucket.asked) == {"list"}


async def test_own_changes_are_in_walks_at_once(new_rig: NewRig) -> None:
    keys = [f"d{n // 20:02}/f{n % 20:02}" for n in range(400)]
    rig = new_rig(keys=dict.fromkeys(keys, b"x"), metadata_ttl=600.0)
    names = await rig.list()
    for name in names[:4]:
        await rig.list(name.rstrip("/"))
    assert rig.files.directories.walks.told > 0
    root = rig.state.nodes.root.ino
    inner = (await rig.get("d09")).ino
    await rig.files.naming.unlink(inner, b"f03")
    await rig.files.renaming.rename(root, b"d11", root, b"d99", replaces=True)
    await rig.files.naming.make_directory((await rig.get("d12")).ino, b"new")
    for node in sorted(rig.state.nodes, key=lambda node: -len(node.path)):
        rig.state.forget(node.ino, node.lookups)
    wanted = [key.replace("d11/", "d99/") for key in keys if key != "d09/f03"] + ["d12/new/"]
    found = await walk(rig)
    assert sorted(found) == sorted({*list_paths(wanted), "d99/"} - {"d11/"})


def ignore_begin(list_page: Callable[..., Page], *arguments: object) -> Page:
    return list_page(*arguments[:6])


async def test_a_slow_walk_and_a_service_that_begins_elsewhere(
    new_rig: NewRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"d{n // 10:02}/f{n % 10}" for n in range(300)]
    for is_slow in (True, False):
        rig = new_rig(keys=dict.fromkeys(keys, b""))
        if not is_slow:
            list_all = partial(ignore_begin, rig.bucket.door.list_page)
            monkeypatch.setattr(rig.bucket.door, "list_page", list_all)
        names = await rig.list()
        for name in names:
            assert len(await rig.list(name.rstrip("/"))) == 10
            rig.now += 1.1 * is_slow
        # Each directory by itself, some looked up again, and few requests for nothing.
        assert rig.bucket.asked["list"] <= 30 * (1 + is_slow) + 8


texts = st.sampled_from(["a", "b", "a-b", "c/d", "c", "e/f/g", "ab/", "z"])


@settings(max_examples=60)
@given(
    st.sets(st.lists(texts, min_size=1, max_size=4).map("/".join), min_size=1, max_size=30),
    st.integers(1, 12),
    st.integers(0, 30),
)
def test_a_page_tells_about_whole_directories_alone(keys: set[str], size: int, skip: int) -> None:
    listed = sorted(keys)
    after = listed[min(skip, len(listed) - 1)]
    after = after[: after.rfind("/") + 1] or after
    behind = [key for key in listed if key > after]
    infos = [ObjectInfo(key, 0, 0, "e") for key in islice(behind, size)]
    page = Page(infos, [], "more" if len(behind) > size else None)
    for directory, found in split_page("", after, page).items():
        below = [key for key in listed if key.startswith(directory) and key != directory]
        rests = [key[len(directory) :] for key in below]
        files = [directory + rest for rest in rests if "/" not in rest]
        inner = sorted({f"{directory}{rest.partition('/')[0]}/" for rest in rests if "/" in rest})
        assert [info.key for info in found.objects if info.key != directory] == files
        assert sorted(found.prefixes) == inner


@settings(max_examples=25)
@given(
    st.sets(st.lists(st.sampled_from("abc"), min_size=2, max_size=4).map("/".join), max_size=40),
    st.integers(1, 6),
)
def test_a_walk_finds_what_the_bucket_has(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], page: int
) -> None:
    plain = [key for key in keys if not any(other.startswith(f"{key}/") for other in keys)]

    async def run(place: Path) -> None:
        rig = BucketRig(place, keys=dict.fromkeys(plain, b""), metadata_ttl=60.0)
        assert sorted(await walk(rig)) == list_paths(plain)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "PAGE", page)
        trio.run(run, tmp_path_factory.mktemp("rig"))
