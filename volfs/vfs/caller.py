"""The caller of an operation, as far as the rules about set-id bits and ``trusted.*`` need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CAP_FOWNER, CAP_FSETID, CAP_SYS_ADMIN = 3, 4, 21
"""Capabilities by the kernel's numbers: to act as the owner, to keep set-id bits, to see
``trusted.*``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller's capabilities, groups and user.

    A call of any of these may have to ask the system about a process, so callers use it only if
    the answer matters.
    """

    is_capable: Callable[[int], bool]
    in_group: Callable[[int], bool]
    """Whether the caller is in a group, or may do what its members may do."""
    is_user: Callable[[int], bool] = lambda uid: True
    """Whether files of this user are the caller's own."""

    def keep_mode(self, mode: int, gid: int) -> int:
        """The mode of a file of group ``gid`` after this caller changed its content.

        The set-user-id bit goes. The set-group-id bit goes if the group may execute, or if the
        caller is not in the group. A caller with CAP_FSETID keeps both.
        """
        if not mode & 0o6000 or self.is_capable(CAP_FSETID):
            return mode
        return self.drop_set_id(mode, gid)

    def drop_set_id(self, mode: int, gid: int) -> int:
        """The mode after a change that drops set-id bits whatever the capabilities are, as a
        change of the owner does."""
        # Without the group's execute bit, set-group-id means mandatory locks, and gives no
        # privilege.
        is_locking = mode & 0o2010 == 0o2000
        drops_group = not is_locking or not self.in_group(gid)
        return mode & ~(0o4000 | 0o2000 * drops_group)


ROOT = Caller(lambda capability: True, lambda gid: True)
