"""Asks the daemons of all mounts at the same time, and ends in time whatever they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from volfs.control.mount_client import MountClient, list_mounts
from volfs.control.mounts import MountPoint
from volfs.control.protocol import MountStatus
from volfs.errors import VolfsError

ANSWER = 2.0
"""Seconds for one daemon to answer."""
LOOK = 4.0
"""Seconds for all of them, however many hang."""
AT_ONCE = 64


class SeenMount(NamedTuple):
    """A mount, and its daemon's answer; None if it is dead or does not answer in time."""

    mount: MountPoint
    status: MountStatus | None

    @property
    def volume(self) -> str:
        """The full name of the volume, as its daemon says it or as it was when it was mounted."""
        return self.status.full_name if self.status else self.mount.source

    @property
    def is_private(self) -> bool:
        """Whether it is the mount of a container."""
        return self.mount.is_private


def look(
    find: Callable[[], Sequence[MountClient]] = list_mounts,
    answer: float = ANSWER,
    whole: float = LOOK,
) -> list[SeenMount]:
    """Look at the mounts that this process may ask: once at each, even if it is bound to several
    places."""
    clients = _list_once(find())
    if not clients:
        return []
    pool = ThreadPoolExecutor(min(len(clients), AT_ONCE), "look")
    asked = [pool.submit(client.status_in_time, answer) for client in clients]
    wait(asked, whole)
    # Those that hang end by themselves, after their own time.
    pool.shutdown(wait=False, cancel_futures=True)
    return [
        SeenMount(client.mount, _take(future))
        for client, future in zip(clients, asked, strict=True)
    ]


def _list_once(clients: Sequence[MountClient]) -> list[MountClient]:
    return list({client.mount.device: client for client in reversed(clients)}.values())[::-1]


def _take(future: Future[MountStatus]) -> MountStatus | None:
    if not future.done() or future.cancelled():
        return None
    try:
        return future.result()
    except (VolfsError, OSError):
        return None
