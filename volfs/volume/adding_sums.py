"""Adding the sums that a former volfs did not write to its trees.

Bytes of data are measured by the chunk lists, and links are counted. Each distinct tree that lacks
sums is made anew once. All other trees stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.model.content import measure_content
from volfs.model.entry import UNKNOWN, Entry, replace, with_tree
from volfs.model.manifest import Snapshot
from volfs.model.objects import Oid, Put
from volfs.model.progress import Progress, Report, report_nothing
from volfs.model.tree import EditedTree, build_tree, iter_entries
from volfs.volume.version_reader import Reader


def has_sums(snapshot: Snapshot) -> bool:
    totals = snapshot.totals
    return UNKNOWN not in (totals.data, totals.linked)


def add_sums(
    reader: Reader, put: Put, snapshot: Snapshot, report: Report = report_nothing
) -> Snapshot:
    """The snapshot with all sums. DataError; StoreError."""
    return snapshot if has_sums(snapshot) else _Converting(reader, put, report).convert(snapshot)


class _Converting:
    """The conversion of one version: each distinct tree that lacks sums is made anew once."""

    def __init__(self, reader: Reader, put: Put, report: Report) -> None:
        self._reader = reader
        self._put = put
        self._report = report
        self._done: dict[Oid, EditedTree] = {}
        self._files = 0

    def convert(self, snapshot: Snapshot) -> Snapshot:
        root = self._convert_directory(snapshot.root)
        if not snapshot.links:
            return snapshot._replace(root=root, link_data=0)
        links = self._make_tree(snapshot.links)
        return snapshot._replace(root=root, links=links.oid, link_data=links.totals.data)

    def _convert_directory(self, top: Entry) -> Entry:
        """Convert the trees below an entry, depth first and without recursion, because trees may
        be deep."""
        waiting = [top]
        while waiting:
            here = waiting[-1]
            below = [] if here.tree in self._done else list(self._list_missing(here))
            if below:
                waiting += below
                continue
            waiting.pop()
            if _lacks(here) and here.tree not in self._done:
                self._done[here.tree] = self._make_tree(here.tree)
        return self._finish(top)

    def _list_missing(self, directory: Entry) -> Iterator[Entry]:
        for entry in iter_entries(self._reader.get_tree, directory.tree):
            if entry.is_directory and _lacks(entry) and entry.tree not in self._done:
                yield entry

    def _make_tree(self, tree: Oid) -> EditedTree:
        entries = [self._finish(entry) for entry in iter_entries(self._reader.get_tree, tree)]
        self._files += len(entries)
        self._report(Progress(self._files, 0, 0, 0))
        return build_tree(self._put, entries)

    def _finish(self, entry: Entry) -> Entry:
        """An entry with its sums. A directory's tree must have been made already."""
        if not _lacks(entry):
            return entry
        if entry.is_directory:
            made = self._done[entry.tree]
            return with_tree(entry, made.oid, made.totals)
        return replace(entry, data_bytes=measure_content(self._reader.get_list, entry))


def _lacks(entry: Entry) -> bool:
    return UNKNOWN in (entry.data, entry.totals.linked)
