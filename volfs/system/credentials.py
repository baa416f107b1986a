"""The credentials of a process, as /proc shows them to a process that only has its number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volfs.system.proc import read_status


@dataclass(frozen=True, slots=True)
class Credentials:
    """The facts that decide about access to files, in this process's user namespace."""

    user: int | None
    """The user whose files are the process's own."""
    groups: frozenset[int]
    """The group of the files that it makes, and its supplementary groups."""
    capabilities: int
    """The effective capabilities, as bits; none for a process in another user namespace."""

    def has(self, capability: int) -> bool:
        return bool(self.capabilities >> capability & 1)


NOBODY = Credentials(None, frozenset(), 0)
"""The credentials of a process of which nothing is known."""


def find_credentials(pid: int) -> Credentials:
    """The credentials of a process or thread; NOBODY if it has gone, or cannot be seen from
    here."""
    try:
        fields = read_status(pid)
    except OSError:
        return NOBODY
    groups = [fields["Gid"].split()[3], *fields["Groups"].split()]
    user = int(fields["Uid"].split()[3])
    capabilities = int(fields["CapEff"], 16) if _is_of_our_namespace(pid, user) else 0
    return Credentials(user, frozenset(map(int, groups)), capabilities)


def _is_of_our_namespace(pid: int, uid: int) -> bool:
    """Whether a process is in our user namespace. In another one anybody may have all
    capabilities, over nothing of ours."""
    try:
        theirs, ours = (Path(f"/proc/{who}/ns/user").readlink() for who in (pid, "self"))
    # Processes of other users do not show it. In our namespace, root has the number 0.
    except OSError:
        return uid == 0
    return theirs == ours
