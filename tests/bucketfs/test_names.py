"""Keys as names: each key that is a path is found under it, and every other one is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bucketfs.rig import BucketRig
from volfs.bucketfs import paging
from volfs.bucketfs.names import find_name, to_part
from volfs.bucketfs.nodes import DirectoryNode, FileNode
from volfs.errors import InvalidOperationError, NameTooLongError

PARTS = st.sampled_from(["a", "a.b", "a-", "a!", "b", "", ".", "..", "x\0y", "ü", "n" * 256, "0"])
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(bool)


def expect(keys: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """By directory its names, directories with a slash; and the keys that cannot be reached."""
    tree: dict[str, set[str]] = {"": set()}
    hidden = set[str]()
    directories = {key[: at + 1] for key in keys for at, c in enumerate(key) if c == "/"}
    for key in keys:
        parts = key.split("/")
        names = parts[:-1] if parts[-1] == "" else parts
        if any(find_name(part) is None for part in names) or (
            not key.endswith("/") and f"{key}/" in directories
        ):
            hidden.add(key)
            names = parts[:-1]
        for depth, name in enumerate(names):
            if any(find_name(part) is None for part in parts[: depth + 1]):
                break
            parent = "".join(f"{part}/" for part in parts[:depth])
            is_file = depth == len(parts) - 1
            tree.setdefault(parent, set()).add(name if is_file else f"{name}/")
            if not is_file:
                tree.setdefault(f"{parent}{name}/", set())
    return tree, hidden


def make(keys: set[str]) -> dict[str, bytes]:
    """Objects that say their keys; markers of directories are empty."""
    return {key: b"" if key.endswith("/") else key.encode() for key in keys}


async def walk(rig: BucketRig, path: str = "") -> dict[str, list[str]]:
    found = {path: await rig.list(path)}
    for name in found[path]:
        if name.endswith("/"):
            found |= await walk(rig, path + name)
    return found


@settings(max_examples=60)
@given(st.sets(KEYS, max_size=12), st.integers(1, 4), st.floats(0, 1))
def test_what_is_listed_is_what_is_looked_up(keys: set[str], page: int, ttl: float) -> None:
    tree, hidden = expect(keys)

    async def look() -> None:
        rig = BucketRig(Path(), keys=make(keys), metadata_ttl=ttl)
        listed = await walk(rig)
        assert {path: set(names) for path, names in listed.items()} == tree
        assert all(len(set(names)) == len(names) for names in listed.values())
        assert rig.state.hidden == len({_group(key, hidden) for key in hidden})
        for path, names in listed.items():
            rig.now += 10  # nothing is believed any more
            for name in names:
                node = await rig.get(path + name)
                assert isinstance(node, DirectoryNode) == name.endswith("/")
                if isinstance(node, FileNode):
                    assert await rig.read(path + name) == (path + name).encode()
            assert await rig.find(path + "absent") is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "PAGE", page)
        trio.run(look)


def _group(key: str, hidden: set[str]) -> str:
    """Hidden keys below one prefix that is no path are seen as that prefix."""
    parts = key.split("/")
    for depth, part in enumerate(parts[:-1]):
        if find_name(part) is None:
            return "/".join(parts[: depth + 1]) + "/"
    return key


@given(st.binary(max_size=300))
def test_a_new_name_is_a_part_of_a_key_or_refused(name: bytes) -> None:
    try:
        part = to_part(name)
    except (InvalidOperationError, NameTooLongError):
        return
    assert find_name(part) == name


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a\0", b"\xff", b"a/b"])
def test_names_that_no_key_can_have_are_refused(name: bytes) -> None:
    with pytest.raises(InvalidOperationError):
        to_part(name)
