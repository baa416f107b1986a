"""Who a process is, as /proc tells those who only have its number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volfs.system.proc import read_status


@dataclass(frozen=True, slots=True)
class Credentials:
    """What counts for access to files, in this process's user namespace."""

    user: int | None
    """Whose files are its own."""
    groups: frozenset[int]
    """The group of what it makes, and its supplementary groups."""
    capabilities: int
    """Those in effect, as bits; none of a process that is in another user namespace."""

    def has(self, capability: int) -> bool:
        return bool(self.capabilities >> capability & 1)


NOBODY = Credentials(None, frozenset(), 0)
"""Of whom nothing is known."""


def find_credentials(pid: int) -> Credentials:
    """Of a process or a thread; NOBODY's where it has gone, or cannot be seen from here."""
    try:
        fields = read_status(pid)
    except OSError:
        return NOBODY
    groups = [fields["Gid"].split()[3], *fields["Groups"].split()]
    user = int(fields["Uid"].split()[3])
    capabilities = int(fields["CapEff"], 16) if _is_of_our_namespace(pid, user) else 0
    return Credentials(user, frozenset(map(int, groups)), capabilities)


def _is_of_our_namespace(pid: int, uid: int) -> bool:
    """Elsewhere anybody may have all capabilities, over nothing of ours."""
    try:
        theirs, ours = (Path(f"/proc/{who}/ns/user").readlink() for who in (pid, "self"))
    except OSError:  # other users' processes do not show it; root has, as we see it, number 0
        return uid == 0
    return theirs == ours
