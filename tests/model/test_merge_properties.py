"""Merging: what must hold for any two changes."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.memory import MemoryObjects
from tests.model.builders import (
    Directory,
    Volume,
    build_volume,
    file_entry,
    read_volume,
)
from tests.model.merging import Paths, Records, merge, merge_paths
from tests.model.strategies import volumes
from volfs.model.entry import Entry
from volfs.model.manifest import Snapshot
from volfs.model.merge import Merged, OverriddenChange


def prepare(*sides: Volume) -> tuple[MemoryObjects, list[Snapshot]]:
    store = MemoryObjects()
    return store, [build_volume(store, side) for side in sides]


def without_times(volume: Volume) -> Volume:
    def strip(node: Entry | Directory) -> Entry | Directory:
        if isinstance(node, Entry):
            return node
        return Directory({name: strip(n) for name, n in node.names.items()}, node.mode)

    root = strip(volume.root)
    assert isinstance(root, Directory)
    return Volume(root, volume.records)


@given(volumes(), volumes())
def test_nothing_of_theirs_gives_ours(base: Volume, ours: Volume) -> None:
    store, (b, o) = prepare(base, ours)
    assert merge(store, b, o, b) == Merged(o, [])


@given(volumes(), volumes())
def test_nothing_of_ours_gives_theirs(base: Volume, theirs: Volume) -> None:
    store, (b, t) = prepare(base, theirs)
    assert merge(store, b, b, t) == Merged(t, [])


@given(volumes(), volumes())
def test_the_same_on_both_sides_gives_it(base: Volume, side: Volume) -> None:
    store, (b, s) = prepare(base, side)
    assert merge(store, b, s, s) == Merged(s, [])


@given(volumes(), volumes(), volumes())
@settings(max_examples=50)
def test_any_merge_is_a_sound_volume(base: Volume, ours: Volume, theirs: Volume) -> None:
    """Totals and link counts equal a recount: ``read_volume`` compares them."""
    store, snapshots = prepare(base, ours, theirs)
    merged = merge(store, *snapshots).snapshot
    volume = read_volume(store, merged)
    assert build_volume(store, volume) == merged


def files_of(node: Directory, above: tuple[bytes, ...] = ()) -> dict[tuple[bytes, ...], Entry]:
    files: dict[tuple[bytes, ...], Entry] = {}
    for name, below in node.names.items():
        if isinstance(below, Directory):
            files |= files_of(below, (*above, name))
        else:
            files[*above, name] = below
    return files


def seen_as(volume: Volume) -> dict[tuple[bytes, ...], object]:
    """Path → what one sees there: a file's content, through its group if it has one."""
    return {
        path: volume.records[entry.group].inline if entry.group else entry.inline
        for path, entry in files_of(volume.root).items()
    }


@given(volumes(), volumes(), volumes())
@settings(max_examples=50)
def test_a_file_that_only_one_side_changed_is_never_lost(
    base: Volume, ours: Volume, theirs: Volume
) -> None:
    """By content. Links are left out: a name of a group may change through another one."""
    base, ours, theirs = map(without_groups, (base, ours, theirs))
    store, snapshots = prepare(base, ours, theirs)
    merged, overridden = merge(store, *snapshots)
    result = seen_as(read_volume(store, merged))
    before, mine, other = map(seen_as, (base, ours, theirs))
    lost = {item.path for item in overridden}
    hidden = {path for path in other if any(path[: len(up)] == up for up in lost)}
    for path in before.keys() | mine.keys() | other.keys():
        was, our, their = before.get(path), mine.get(path), other.get(path)
        if our != was:
            assert result.get(path) == our or our is None
        elif their != was and path not in hidden:
            blocked = any(path[:depth] in result for depth in range(1, len(path)))
            assert result.get(path) == their or blocked or below_file(path, mine)


def below_file(path: tuple[bytes, ...], files: Mapping[tuple[bytes, ...], object]) -> bool:
    return any(up[: len(path)] == path for up in files)


def without_groups(volume: Volume) -> Volume:
    def strip(directory: Directory) -> Directory:
        names: dict[bytes, Entry | Directory] = {}
        for name, node in directory.names.items():
            if isinstance(node, Directory):
                names[name] = strip(node)
            elif node.group:
                names[name] = file_entry(name, b"was %d" % node.group)
            else:
                names[name] = node
        return directory._replace(names=names)

    return Volume(strip(volume.root))


PATHS = ["a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "f/a", "f/b"]


@given(
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"1", b"2"])),
    st.dictionaries(st.sampled_from(PATHS), st.none() | st.sampled_from([b"3", b"4"])),
    st.dictionaries(st.sampled_from(PATHS), st.none() | st.sampled_from([b"5", b"6"])),
)
@settings(max_examples=60)
def test_disjoint_paths_commute_and_both_survive(
    base: dict[str, bytes], ours: dict[str, bytes | None], theirs: dict[str, bytes | None]
) -> None:
    theirs = {path: content for path, content in theirs.items() if path not in ours}
    mine, other, both = (
        {path: c for path, c in (base | edits).items() if c is not None}
        for edits in (ours, theirs, ours | theirs)
    )
    one, two = merge_paths(base, mine, other), merge_paths(base, other, mine)
    assert one == two
    assert one.overridden == []
    assert files_only(one.paths) == both


def files_only(paths: Paths) -> dict[str, object]:
    return {path: content for path, content in paths.items() if content is not None}


@given(
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([1, 2]), min_size=2),
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([1, 2])),
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([1, 2])),
    st.sampled_from([b"x", b"ours"]),
    st.sampled_from([b"x", b"theirs"]),
)
@settings(max_examples=50)
def test_links_that_one_side_changed_are_never_lost(
    base: dict[str, int], ours: dict[str, int], theirs: dict[str, int], mine: bytes, other: bytes
) -> None:
    """What we wrote through any name of a group that we have is in the merged volume."""

    def records(paths: Mapping[str, int], content: bytes) -> Records:
        return dict.fromkeys(paths.values(), content)

    merged = merge_paths(
        base, ours, theirs, records(base, b"x"), records(ours, mine), records(theirs, other)
    )
    if mine == b"ours":
        groups = set(ours.values())
        assert groups <= set(merged.records)
        assert {merged.records[group] for group in groups} <= {b"ours"}


@given(volumes(), volumes(), volumes())
def test_overridden_is_what_both_changed(base: Volume, ours: Volume, theirs: Volume) -> None:
    store, snapshots = prepare(base, ours, theirs)
    overridden = merge(store, *snapshots).overridden
    assert overridden == sorted(set(overridden))
    assert all(isinstance(item, OverriddenChange) and item.path for item in overridden)
    words = {"created", "modified", "removed"}
    assert {item.theirs for item in overridden} | {item.ours for item in overridden} <= words
