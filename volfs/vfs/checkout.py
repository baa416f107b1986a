"""Reload: carrying out a plan that moves a mount's inodes from one version to another.

This is synchronous and cannot fail. It returns the notices that the kernel gets afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

from volfs.model.diff import Made
from volfs.model.entry import Entry, Totals, replace, with_tree
from volfs.model.objects import NO_OID
from volfs.vfs.checkout_plan import KernelNotice, ReloadPlan
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.state import MountState


def apply_checkout(state: MountState, plan: ReloadPlan) -> list[KernelNotice]:
    """Show the planned version from now on. Synchronous; cannot fail."""
    for inode, entry in plan.entries:
        inode.entry = entry
        if isinstance(inode, Directory):
            inode.count = None
    for directory in plan.adopted:
        _adopt(state, directory)
    for directory, names in plan.bound.items():
        for name, ours in names.items():
            state.overlay.bind(directory, name, ours)
    for directory, name in plan.unbound:
        state.overlay.unbind(directory, name)
    for directory, name in plan.unloaded:
        gone = directory.children.pop(name, None)
        if gone is not None:
            _detach(state, gone, directory, name)
    state.inodes.numbers.renew_all(plan.renewed)
    for (directory, name), made in plan.revived.items():
        _revive(state, directory, name, made, plan.records)
    state.usage.move(state.view.snapshot.totals, plan.snapshot.totals)
    state.view.head, state.view.snapshot = plan.head, plan.snapshot
    return plan.notices


def _adopt(state: MountState, directory: Directory) -> None:
    """Stop binding a directory of ours in the overlay, because the view has it now."""
    parent = directory.parent
    assert parent is not None
    parent.changed.discard(directory.name)
    state.inodes.keep_number(directory, parent, directory.name)
    state.overlay.unrecorded_names.add((parent.ino, directory.name))


def _revive(
    state: MountState, parent: Directory, name: bytes, made: Made, records: Mapping[int, Entry]
) -> None:
    """Bind a directory again, with what others made in it. To the overlay these are names like any
    others."""
    waiting: list[tuple[Directory, bytes, Entry | Made]] = [(parent, name, made)]
    for above, last, what in waiting:
        entry = what.as_entry() if isinstance(what, Made) else what
        inode = state.load(above, last, records.get(entry.group, entry))
        state.overlay.bind(above, last, inode)
        if isinstance(what, Made):
            assert isinstance(inode, Directory)
            waiting += [(inode, *item) for item in what.names.items()]


def _detach(state: MountState, gone: Inode, parent: Directory, name: bytes) -> None:
    """Detach an inode from its name, which means another one now. The kernel may hold the inode
    for a while."""
    waiting = [(gone, parent, name)]
    for inode, above, last in waiting:
        if isinstance(inode, File) and inode.entry.group:
            inode.aliases.discard((above, last))
            if inode.aliases:
                inode.parent, inode.name = next(iter(inode.aliases))
                continue
            state.inodes.by_group.pop(inode.entry.group, None)
        if isinstance(inode, Directory):
            waiting += [(child, inode, n) for n, child in inode.children.items() if child]
            state.overlay.unrecorded_names.update((inode.ino, n) for n in inode.changed)
            inode.children.clear()
            inode.changed.clear()
            inode.count = 0
            inode.entry = with_tree(inode.entry, NO_OID, Totals(0, 0, 0))
        state.overlay.dirty.pop(inode.ino, None)
        state.overlay.unrecorded.add(inode.ino)
        inode.parent = None
        inode.stale = True
        if isinstance(inode, File):
            inode.left = (above, last)
            inode.entry = replace(inode.entry, links=0)
            if inode.opens:
                state.overlay.orphans[inode.ino] = inode
        state.drop_if_idle(inode)
