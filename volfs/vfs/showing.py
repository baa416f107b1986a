"""Showing another version in place of the one that a mount shows."""

from __future__ import annotations

from volfs.errors import VolumeBusyError
from volfs.model.manifest import Snapshot
from volfs.model.text import show
from volfs.store.contract.refs import Head
from volfs.vfs.checkout import apply_checkout
from volfs.vfs.checkout_plan import Attached, KernelNotice, find_torn, plan_checkout
from volfs.vfs.state import MountState

ATTACHED = "volume busy: the newest version has other files, or none, at paths that are in use"


def show_version(
    state: MountState, head: Head, snapshot: Snapshot, attached: list[Attached]
) -> list[KernelNotice]:
    """Show a version. VolumeBusyError, and nothing is changed, if that would tear off something
    that is attached."""
    if state.view.snapshot == snapshot:
        state.view.head = head
        return []
    plan = plan_checkout(state, head, snapshot)
    torn = find_torn(plan, attached)
    if torn:
        told = "; ".join(f"{show(one.path)}: {one.what}" for one in torn[:5])
        raise VolumeBusyError(f"{ATTACHED}: {told}")
    return apply_checkout(state, plan)


def show_keeping_attached(
    state: MountState, head: Head, snapshot: Snapshot, attached: list[Attached] | None
) -> list[KernelNotice] | None:
    """Show a version, and keep inodes to which something is attached.

    None, and nothing is changed, if ``attached`` is not known and would be needed.
    """
    if state.view.snapshot == snapshot:
        state.view.head = head
        return []
    plan = plan_checkout(state, head, snapshot, attached or ())
    if attached is None and plan.loses:
        return None
    return apply_checkout(state, plan)
