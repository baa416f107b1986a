"""Short ways to make entries, snapshots and whole volumes as plain dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.harness.memory import MemoryObjects
from volfs.model.entry import (
    Entry,
    FileKind,
    Totals,
    replace,
    with_known_sums,
    with_tree,
)
from volfs.model.links import group_name
from volfs.model.manifest import ROOT_NAME, Snapshot
from volfs.model.names import Path
from volfs.model.objects import Oid
from volfs.model.tree import build_tree, iter_entries


class Directory(NamedTuple):
    """A directory as a model: its own attributes, and names."""

    names: dict[bytes, Entry | Directory]
    mode: int = 0o755
    mtime_ns: int = 0


class Volume(NamedTuple):
    """A whole version as a model; ``records`` are the files of hard link groups."""

    root: Directory
    records: Mapping[int, Entry] = {}


def file_entry(name: bytes, content: bytes = b"", **changes: object) -> Entry:
    size = len(content)
    entry = Entry(name, FileKind.FILE, 0o644, size=size, inline=content, **changes)  # type: ignore[arg-type]
    return with_known_sums(entry)


def link_entry(name: bytes, group: int) -> Entry:
    return with_known_sums(Entry(name, FileKind.FILE, group=group))


def directory_entry(name: bytes = ROOT_NAME, mode: int = 0o755, mtime_ns: int = 0) -> Entry:
    return with_known_sums(Entry(name, FileKind.DIRECTORY, mode, mtime_ns=mtime_ns))


def tree_of(paths: Mapping[str, bytes | int | None]) -> Directory:
    """``{"a/b": b"text", "a/link": 7, "empty": None}``: a file, a link of group 7, a directory."""
    root = Directory({})
    for path, what in paths.items():
        *above, name = [part.encode() for part in path.split("/")]
        here = root
        for part in above:
            below = here.names.setdefault(part, Directory({}))
            assert isinstance(below, Directory)
            here = below
        if what is None:
            here.names.setdefault(name, Directory({}))
        elif isinstance(what, int):
            here.names[name] = link_entry(name, what)
        else:
            here.names[name] = file_entry(name, what)
    return root


def build_directory(store: MemoryObjects, directory: Directory, name: bytes) -> Entry:
    entries = []
    for key, node in directory.names.items():
        if isinstance(node, Directory):
            entries.append(build_directory(store, node, key))
        else:
            entries.append(replace(node, name=key))
    built = build_tree(store.put, entries)
    own = directory_entry(name, directory.mode, directory.mtime_ns)
    return with_tree(own, built.oid, built.totals)


def build_volume(store: MemoryObjects, volume: Volume) -> Snapshot:
    """From scratch: every tree, and the link tree by a full count."""
    counts = count_links(volume.root)
    records = [
        replace(volume.records[group], name=group_name(group), links=count)
        for group, count in counts.items()
    ]
    links = build_tree(store.put, records)
    root = build_directory(store, volume.root, ROOT_NAME)
    totals = links.totals
    return Snapshot(root, links.oid, totals.files, totals.bytes, totals.data)


def build(
    store: MemoryObjects,
    paths: Mapping[str, bytes | int | None],
    records: Mapping[int, bytes] | None = None,
) -> Snapshot:
    contents = {group: file_entry(b"-", content) for group, content in (records or {}).items()}
    return build_volume(store, Volume(tree_of(paths), contents))


def read_directory(store: MemoryObjects, entry: Entry) -> Directory:
    """The model of a stored directory; also checks its totals."""
    names: dict[bytes, Entry | Directory] = {}
    totals = Totals(0, 0, 0)
    for child in iter_entries(store.get_tree, entry.tree):
        assert child.name not in names
        node = read_directory(store, child) if child.is_directory else child
        names[child.name] = node
        totals = Totals(*(a + b for a, b in zip(totals, child.totals, strict=True)))
    own = entry.totals
    held = own._replace(directories=entry.directories, subdirectories=entry.subdirectories)
    assert held == totals
    return Directory(names, entry.mode, entry.mtime_ns)


def read_volume(store: MemoryObjects, snapshot: Snapshot) -> Volume:
    """The model of a snapshot; also checks that link records fit the names."""
    root = read_directory(store, snapshot.root)
    records = list(iter_entries(store.get_tree, snapshot.links))
    counts = count_links(root)
    assert {int(record.name, 16): record.links for record in records} == counts
    assert all(record.name == group_name(int(record.name, 16)) for record in records)
    assert snapshot.link_files == len(records)
    assert snapshot.link_bytes == sum(record.size for record in records)
    assert not records or snapshot.link_data == sum(record.data for record in records)
    return Volume(root, {int(r.name, 16): replace(r, name=b"-", links=1) for r in records})


def read_paths(store: MemoryObjects, snapshot: Snapshot) -> dict[str, bytes | int | None]:
    """The reverse of ``build``: files' content, links' groups, empty directories as None."""
    volume = read_volume(store, snapshot)
    return {"/".join(part.decode() for part in path): what for path, what in _walk(volume.root)}


def _walk(directory: Directory, above: Path = ()) -> Iterator[tuple[Path, bytes | int | None]]:
    for name, node in directory.names.items():
        path = (*above, name)
        if isinstance(node, Entry):
            yield path, node.group or node.inline
        elif node.names:
            yield from _walk(node, path)
        else:
            yield path, None


def read_records(store: MemoryObjects, snapshot: Snapshot) -> dict[int, bytes]:
    return {g: record.inline for g, record in read_volume(store, snapshot).records.items()}


def count_links(directory: Directory) -> Counter[int]:
    counts: Counter[int] = Counter()
    for node in directory.names.values():
        if isinstance(node, Directory):
            counts += count_links(node)
        elif node.group:
            counts[node.group] += 1
    return counts


def find(store: MemoryObjects, snapshot: Snapshot, path: str) -> Entry:
    entry = snapshot.root
    for part in path.split("/"):
        tree: Oid = entry.tree
        entry = {e.name: e for e in iter_entries(store.get_tree, tree)}[part.encode()]
    return entry
