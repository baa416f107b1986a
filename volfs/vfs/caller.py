"""Who asks for an operation: what the rules about set-id bits and ``trusted.*`` have to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CAP_FOWNER, CAP_FSETID, CAP_SYS_ADMIN = 3, 4, 21
"""Capabilities, by the kernel's numbers: to be as the owner; to keep set-id bits; to see
``trusted.*``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Which capabilities and groups a caller has, and who he is.

    Either may have to ask the system about a process, so it is called only where the answer counts.
    """

    is_capable: Callable[[int], bool]
    in_group: Callable[[int], bool]
    """Whether the caller is in a group, or may do what its members may."""
    is_user: Callable[[int], bool] = lambda uid: True
    """Whether files of this user are the caller's own."""

    def keep_mode(self, mode: int, gid: int) -> int:
        """The mode of a file of group ``gid`` whose content this caller changed.

        Set-user-id goes, and set-group-id where the group may execute or does not have
        the caller in it; who has CAP_FSETID keeps both.
        """
        if not mode & 0o6000 or self.is_capable(CAP_FSETID):
            return mode
        return self.drop_set_id(mode, gid)

    def drop_set_id(self, mode: int, gid: int) -> int:
        """The same for a change that no capability excuses, as that of the owner."""
        is_locking = mode & 0o2010 == 0o2000  # the bit means mandatory locks there: no privilege
        drops_group = not is_locking or not self.in_group(gid)
        return mode & ~(0o4000 | 0o2000 * drops_group)


ROOT = Caller(lambda capability: True, lambda gid: True)
