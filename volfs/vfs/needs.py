"""The needs of a mount: the objects in the store that its lease must name."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.model.entry import Entry
from volfs.store.contract.lease import Need
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.state import MountState
from volfs.volume.leases import entry_needs, snapshot_needs


def find_needs(state: MountState) -> tuple[Need, ...]:
    """The needs of the view, and of what the overlay lies on, which may be of views that were
    left.

    O(uncommitted). Later changes lie on these objects, too, so the result stays complete until the
    view is another one.
    """
    needs = set(snapshot_needs(state.view.snapshot))
    overlay = state.overlay
    for inode in (*overlay.uncommitted().values(), *overlay.orphans.values()):
        for changed in _iter_changed(inode):
            needs.update(entry_needs(_lies_on(changed)))
    return tuple(sorted(needs))


def _iter_changed(inode: Inode) -> Iterator[Inode]:
    """The file itself, or the inodes that a directory's changed names mean."""
    if isinstance(inode, Directory):
        children = (inode.children[name] for name in inode.changed)
        yield from (child for child in children if child is not None)
    else:
        yield inode


def _lies_on(inode: Inode) -> Entry:
    if isinstance(inode, File) and inode.extents is not None:
        return inode.base
    return inode.entry
