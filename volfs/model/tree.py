"""Trees: one immutable directory, whole or in pages. Layout: docs/format.md, "Trees".

A tree of many entries is cut into *pages*, which are objects of their own, at names that are
chosen by hash. So a changed entry rewrites one page and a short index, and the same entries give
the same pages whatever their history (docs/decisions/0004).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta
from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError
from volfs.model.entry import (
    UNKNOWN,
    Entry,
    Size,
    Sum,
    Totals,
    add_totals,
    check_entry,
    check_storable,
    is_same,
    with_known_sums,
)
from volfs.model.objects import NO_OID, Buffer, Kind, Oid, Put

PAGE_MASK = 127
"""A page begins at each name whose hash has these bits zero: a page has 128 entries on average."""
PAGE_MAX = 512
"""The most entries in a page, whatever the names."""
INDEX_MAX = 65_536


class PageRef(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Where one page of a large tree is, its first name, and sums over its entries."""

    first: Annotated[bytes, Meta(min_length=1, max_length=255)]
    oid: Annotated[bytes, Meta(min_length=32, max_length=32)]
    count: Annotated[int, Meta(ge=1, le=PAGE_MAX)]
    files: Size
    directories: Size
    content_bytes: Size
    subdirectories: Size
    data_bytes: Sum = UNKNOWN
    linked: Sum = UNKNOWN
    """Names of hard links below the page. Where it is 0, nobody need look for them."""

    @property
    def totals(self) -> Totals:
        return Totals(
            self.files,
            self.directories,
            self.content_bytes,
            self.subdirectories,
            self.data_bytes,
            self.linked,
        )


class _Stored(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The canonical form: a page has entries, an index has pages, none has both."""

    level: Annotated[int, Meta(ge=0, le=1)]
    entries: Annotated[tuple[Entry, ...], Meta(max_length=PAGE_MAX)]
    pages: Annotated[tuple[PageRef, ...], Meta(max_length=INDEX_MAX)]


class Tree(NamedTuple):
    """A decoded tree object: ``entries`` in name order, or the ``pages`` of an index."""

    entries: dict[bytes, Entry]
    pages: tuple[PageRef, ...]


EMPTY_TREE = Tree({}, ())


class GetTree(Protocol):
    """A decoded tree object; the empty id gives the empty tree. Raises as ``Load``."""

    def __call__(self, oid: Oid, /) -> Tree: ...


_decoder = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()


def decode_tree(data: Buffer) -> Tree:
    """DamagedObjectError for everything that no volfs writes."""
    try:
        stored = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"tree: {error}") from error
    if stored.level == 0:
        if stored.pages or not stored.entries:
            raise DamagedObjectError("tree: a page with no entries, or with pages")
        _check_ascending([entry.name for entry in stored.entries])
        for entry in stored.entries:
            check_entry(entry)
    else:
        if stored.entries or len(stored.pages) < 2:
            raise DamagedObjectError("tree: an index with entries, or of fewer than two pages")
        _check_ascending([page.first for page in stored.pages])
    return Tree({entry.name: with_known_sums(entry) for entry in stored.entries}, stored.pages)


def _check_ascending(names: list[bytes]) -> None:
    if any(a >= b for a, b in pairwise(names)):
        raise DamagedObjectError("tree: names out of order")


# --- reading ----------------------------------------------------------------


def find_entry(get: GetTree, root: Oid, name: bytes) -> Entry | None:
    tree = get(root)
    if not tree.pages:
        return tree.entries.get(name)
    at = bisect_right(tree.pages, name, key=lambda page: page.first) - 1
    return _load_page(get, tree.pages[at]).get(name) if at >= 0 else None


def iter_entries(get: GetTree, root: Oid) -> Iterator[Entry]:
    """All entries in name order."""
    tree = get(root)
    yield from tree.entries.values()
    for page in tree.pages:
        yield from _load_page(get, page).values()


def _load_page(get: GetTree, page: PageRef) -> dict[bytes, Entry]:
    entries = get(Oid(page.oid)).entries
    if len(entries) != page.count or page.first not in entries:
        raise DamagedObjectError(f"tree: page {page.oid.hex()} is not what its index says")
    return entries


def count_entries(get: GetTree, root: Oid) -> int:
    tree = get(root)
    return len(tree.entries) + sum(page.count for page in tree.pages)


def iter_objects(get: GetTree, root: Oid) -> Iterator[Oid]:
    """The ids of the objects that a tree itself consists of: its root, and its pages."""
    if root:
        yield root
        yield from (Oid(page.oid) for page in get(root).pages)


class NameChange(NamedTuple):
    """A name that differs between two directories; None where it is absent."""

    name: bytes
    old: Entry | None
    new: Entry | None


def diff_trees(get: GetTree, old: Oid, new: Oid) -> Iterator[NameChange]:
    """The names that differ, in order. Reads only the pages that differ."""
    if old == new:
        return
    before, after = _refs(get, old), _refs(get, new)
    shared = {page.oid for page in before} & {page.oid for page in after}
    olds = _entries_outside(get, before, shared)
    news = _entries_outside(get, after, shared)
    for name in sorted(olds.keys() | news.keys()):
        a, b = olds.get(name), news.get(name)
        if not is_same(a, b):
            yield NameChange(name, a, b)


def _entries_outside(
    get: GetTree, pages: tuple[PageRef, ...], shared: set[bytes]
) -> dict[bytes, Entry]:
    trees = (_load_page(get, page) for page in pages if page.oid not in shared)
    return dict(chain.from_iterable(tree.items() for tree in trees))


def _refs(get: GetTree, root: Oid) -> tuple[PageRef, ...]:
    """The pages of any tree. A small tree is its own only page."""
    tree = get(root)
    if tree.pages or not tree.entries:
        return tree.pages
    return (_make_ref(root, tuple(tree.entries.values())),)


# --- writing ----------------------------------------------------------------


class EditedTree(NamedTuple):
    oid: Oid
    length: int
    totals: Totals


def edit_tree(get: GetTree, put: Put, root: Oid, edits: Mapping[bytes, Entry | None]) -> EditedTree:
    """The tree with some names put or removed (None). Only pages that change are rewritten.

    ``edits`` maps each name to an entry of that name.
    """
    runs = _join_headless(_runs(_refs(get, root)), edits) or [[]]
    names = sorted(edits)
    starts = [0, *(bisect_left(names, run[0].first) for run in runs[1:]), len(names)]
    pages: list[PageRef] = []
    for run, start, end in zip(runs, starts, starts[1:], strict=False):
        pages += _edit_run(get, put, run, {name: edits[name] for name in names[start:end]})
    return _finish(put, pages)


def build_tree(put: Put, entries: Iterable[Entry]) -> EditedTree:
    """A tree of these entries."""
    edits = {entry.name: entry for entry in entries}
    return edit_tree(lambda oid: EMPTY_TREE, put, NO_OID, edits)


def begins_page(name: bytes) -> bool:
    return xxh3_64_intdigest(name) & PAGE_MASK == 0


def _runs(pages: tuple[PageRef, ...]) -> list[list[PageRef]]:
    """Group pages into runs between natural beginnings. A cut can move only inside a run."""
    runs: list[list[PageRef]] = []
    for page in pages:
        if not runs or begins_page(page.first):
            runs.append([])
        runs[-1].append(page)
    return runs


def _join_headless(
    runs: list[list[PageRef]], edits: Mapping[bytes, Entry | None]
) -> list[list[PageRef]]:
    """Join runs so that a run whose first name is removed continues the run before it."""
    joined: list[list[PageRef]] = []
    for run in runs:
        first = run[0].first
        if joined and first in edits and edits[first] is None:
            joined[-1] += run
        else:
            joined.append(run)
    return joined


def _edit_run(
    get: GetTree, put: Put, run: list[PageRef], edits: dict[bytes, Entry | None]
) -> list[PageRef]:
    if not edits:
        return run
    entries: dict[bytes, Entry] = {}
    for page in run:
        entries.update(_load_page(get, page))
    for name, entry in edits.items():
        if entry is None:
            entries.pop(name, None)
        else:
            assert entry.name == name, "an entry stands under its own name"
            entry = with_known_sums(entry)
            check_storable(entry)
            entries[name] = entry
    return [_put_page(put, page) for page in _cut(entries[name] for name in sorted(entries))]


def _cut(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    page: list[Entry] = []
    for entry in entries:
        if page and (len(page) == PAGE_MAX or begins_page(entry.name)):
            yield tuple(page)
            page = []
        page.append(entry)
    if page:
        yield tuple(page)


def _put_page(put: Put, entries: tuple[Entry, ...]) -> PageRef:
    return _make_ref(put(Kind.TREE, _encoder.encode(_Stored(0, entries, ()))), entries)


def _make_ref(oid: Oid, entries: tuple[Entry, ...]) -> PageRef:
    return PageRef(entries[0].name, oid, len(entries), *add_totals(e.totals for e in entries))


def _finish(put: Put, pages: list[PageRef]) -> EditedTree:
    if not pages:
        oid = NO_OID
    elif len(pages) == 1:
        oid = Oid(pages[0].oid)
    else:
        oid = put(Kind.TREE, _encoder.encode(_Stored(1, (), tuple(pages))))
    totals = add_totals(page.totals for page in pages)
    return EditedTree(oid, sum(page.count for page in pages), totals)
