"""Random small volumes: few names, so that two of them meet often."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.model.builders import Directory, Volume, count_links, file_entry, link_entry
from volfs.model.entry import Entry

NAMES = [b"a", b"b", b"c", b"d"]
GROUPS = [1, 2]

names = st.sampled_from(NAMES)
contents = st.sampled_from([b"", b"1", b"22", b"333"])
modes = st.sampled_from([0o755, 0o700])
times = st.integers(0, 3)


def _files() -> st.SearchStrategy[Entry]:
    plain = st.builds(file_entry, names, contents)
    return plain | plain | st.builds(link_entry, names, st.sampled_from(GROUPS))


def _named(nodes: dict[bytes, Entry | Directory]) -> dict[bytes, Entry | Directory]:
    return {
        name: node if isinstance(node, Directory) else _renamed(node, name)
        for name, node in nodes.items()
    }


def _renamed(entry: Entry, name: bytes) -> Entry:
    return link_entry(name, entry.group) if entry.group else file_entry(name, entry.inline)


def directories() -> st.SearchStrategy[Directory]:
    def extend(below: st.SearchStrategy[Directory]) -> st.SearchStrategy[Directory]:
        nodes = st.dictionaries(names, _files() | below | below, max_size=4).map(_named)
        return st.builds(Directory, nodes, modes, times)

    flat = st.builds(
        Directory, st.dictionaries(names, _files(), max_size=3).map(_named), modes, times
    )
    return st.recursive(flat, extend, max_leaves=6)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    root = draw(directories())
    records = {
        group: file_entry(b"-", draw(contents), mtime_ns=draw(times), ctime_ns=draw(times))
        for group in count_links(root)
    }
    return Volume(root, records)
