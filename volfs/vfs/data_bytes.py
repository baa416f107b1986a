"""The bytes of a file that are not holes: what `st_blocks` and `df` count."""

from __future__ import annotations

from volfs.errors import VolfsError
from volfs.model.content import GetList, count_data, measure_content
from volfs.model.entry import UNKNOWN, Entry, Totals, replace
from volfs.model.extents import BASE, ExtentMap
from volfs.vfs.inode import File, Inode


def measure_data(get: GetList, inode: Inode) -> int:
    """The bytes of data of a file, exact also before a commit. Miss.

    Content that cannot be read counts as data as a whole.
    """
    if not isinstance(inode, File):
        return 0
    try:
        inode.base = _with_data(get, inode.base)
        if inode.extents is not None:
            return _measure_pieces(get, inode.base, inode.extents)
        inode.entry = _with_data(get, inode.entry)
        return inode.entry.data
    except VolfsError:
        return inode.entry.size


def _with_data(get: GetList, entry: Entry) -> Entry:
    """The entry with its bytes of data, so that nobody has to measure it again."""
    if entry.data != UNKNOWN:
        return entry
    return replace(entry, data_bytes=measure_content(get, entry))


def _measure_pieces(get: GetList, base: Entry, extents: ExtentMap) -> int:
    if base.data == base.size:
        return extents.stored
    total = 0
    for start, end, source, _ in extents.pieces:
        # No piece of the base reaches beyond the base.
        total += count_data(get, base, start, end) if source == BASE else end - start
    return total


def counted_data(totals: Totals) -> int:
    """The bytes that `df` counts for these totals. Versions of a former volfs know only their
    bytes with holes."""
    return totals.bytes if totals.data == UNKNOWN else totals.data
