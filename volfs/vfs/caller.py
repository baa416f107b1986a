"""Who asks for an operation: what the rules about set-id bits and ``trusted.*`` have to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """``privileged`` is root; ``in_group`` tells of a group whether the caller is in it.

    ``in_group`` may have to ask the kernel, so it is called only where the answer counts.
    """

    privileged: bool
    in_group: Callable[[int], bool]

    def keep_mode(self, mode: int, gid: int) -> int:
        """The mode of a file of group ``gid`` whose content this caller changed.

        Set-user-id goes, and set-group-id where the group may execute or does not have
        the caller in it; root keeps both.
        """
        if self.privileged or not mode & 0o6000:
            return mode
        return without_set_id(mode, in_group=not mode & 0o2000 or self.in_group(gid))


ROOT = Caller(True, lambda gid: True)


def without_set_id(mode: int, *, in_group: bool = True) -> int:
    """A mode without set-user-id, and without set-group-id where that gives a privilege."""
    drops_group = mode & 0o0010 or not in_group
    return mode & ~(0o4000 | (0o2000 if drops_group else 0))
