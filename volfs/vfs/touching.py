"""``reload --touch``: files that arrive with a reload get the present as their time.

Versions keep the times at which files were written, so a file may be new here and look older than
a product of its former content. The new times are changes of the overlay like any others.
"""

from __future__ import annotations

from volfs.model.changes import Change, ChangeKind, iter_changes
from volfs.model.entry import replace
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.tree import GetTree
from volfs.vfs.checkout_plan import KernelNotice
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.state import MountState

_BROUGHT = (ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.TYPE_CHANGED)


def list_arrived(get: GetTree, before: Snapshot, now: Snapshot, sub_path: Path) -> list[Path]:
    """The paths below ``sub_path`` that are new, or have other content or times. No
    directories."""
    depth = len(sub_path)
    return [
        change.path[depth:]
        for change in iter_changes(get, before, now)
        if change.path[:depth] == sub_path and _has_arrived(change)
    ]


def _has_arrived(change: Change) -> bool:
    if change.new is None or change.new.is_directory:
        return False
    return change.kind in _BROUGHT or "mtime" in change.attributes


def touch_arrived(state: MountState, path: Path, now: int) -> KernelNotice | None:
    """Give a file of the view this time.

    None if the path is changed in the overlay, or the file is. Miss.
    """
    inode: Inode | None = state.root
    is_ours = False
    for name in path:
        if not isinstance(inode, Directory):
            return None
        is_ours = name in inode.changed
        inode = state.child(inode, name)
    if not isinstance(inode, File) or is_ours or inode.ino in state.overlay.dirty:
        return None
    state.overlay.touch(inode, replace(inode.entry, mtime_ns=now, ctime_ns=now))
    return KernelNotice(inode.ino, None)
