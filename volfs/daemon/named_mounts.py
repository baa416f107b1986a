"""The mounts that a command means: by a mount point, or by a volume's name in a store.

A name is the name of a volume in one environment of one store. The sessions of that store say
which mounts the volume has, by their device numbers. Mounts of the same name from other stores and
environments are never asked. A mount point needs neither store nor environment
(docs/decisions/0026).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from volfs.control.mount_client import MountClient, get_mount, list_mounts
from volfs.control.mounts import FS_TYPE, MountPoint, find_mount_point
from volfs.control.protocol import MountStatus
from volfs.errors import (
    DataError,
    MountError,
    NotAStoreError,
    NotFoundError,
    StoreError,
    VolfsError,
)
from volfs.model.names import MAIN, join_name, split_name
from volfs.sessions.device import identify_session
from volfs.sessions.facts import SESSIONS
from volfs.sessions.info import SessionInfo, list_sessions, list_volume_sessions
from volfs.store.address import find_local_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.distributed.machine import find_local
from volfs.store.registry import open_store
from volfs.volume.volumes import find_volume_by_name, list_environments_of

PATIENCE = 2.0
"""Seconds for a store's directory to be read."""
Seen = dict[tuple[int, int], list[MountClient]]
"""The mounts that this process sees, by device. A mount may be at several places."""


class FoundMount(NamedTuple):
    """A mount that this process sees, and the session of the store that has it."""

    client: MountClient
    session: SessionInfo

    def check(self) -> MountStatus:
        """The status from the mount's daemon. MountError if none answers, or if it has another
        session."""
        said = self.client.status()
        if not _has(said, self.session):
            raise MountError(f"{self.client.mount.path}: another mount by now, of {said.store}")
        return said


def find_volume_mounts(store: Store, volume: VolumeRecord) -> list[FoundMount]:
    """The mounts of a volume that this process sees, each once, dead ones too. StoreError,
    DataError."""
    return _find_mounts(list_volume_sessions(store, volume))


def get_session_mount(session: SessionInfo) -> FoundMount:
    """The mount of a session. NotFoundError if this process sees none."""
    found = _find_mounts([session])
    if not found:
        raise NotFoundError(f"{session.mountpoint}: no mount of {session.name} is seen there")
    return found[0]


def get_target(target: str, store: str, environment: str = MAIN) -> MountClient:
    """The one living mount that a command's argument means.

    ``store`` is the address in use, ``environment`` the one of the names. A word without a slash
    may be a volume's name, or a mount point in the working directory. NotFoundError if there is no
    such mount; MountError if there are several.
    """
    named = _resolve(target, store, environment)
    return named if isinstance(named, MountClient) else named.get_only()


def find_targets(target: str, store: str, environment: str = MAIN) -> list[MountClient]:
    """As ``get_target``, but all mounts of a volume, dead ones too, and at least one."""
    named = _resolve(target, store, environment)
    if isinstance(named, MountClient):
        return [named]
    if not named.mounts:
        raise named.explain()
    return [mount.client for mount in named.mounts]


def list_known_sessions(store: str) -> dict[tuple[int, int], SessionInfo]:
    """The sessions of this machine in a store, which is not opened, by their mounts' devices.

    This is all that can be known of mounts that do not answer. It may be incomplete.
    """
    known: list[SessionInfo] = []

    def read() -> None:
        with suppress(OSError, VolfsError):
            place = find_local_path(store) or find_local(store)
            known.extend(list_sessions(place / SESSIONS) if place else ())

    reading = Thread(target=read, daemon=True)
    reading.start()
    reading.join(PATIENCE)  # The directory may hang.
    living_last = sorted(known, key=lambda session: session.alive)
    return {session.device: session for session in living_last if session.device}


class _NamedVolume(NamedTuple):
    """What a word names in an environment of a store."""

    word: str
    store: str
    environment: str
    volume: VolumeRecord | None = None
    sessions: Sequence[SessionInfo] = ()
    mounts: Sequence[FoundMount] = ()
    elsewhere: Sequence[str] = ()
    """The other environments that have a volume of this name."""

    def get_only(self) -> MountClient:
        """The only living mount of the volume. It has answered."""
        living = [mount for mount in self.mounts if mount.session.alive]
        living = [m for m in living if not m.client.mount.is_private] or living
        if not living:
            raise self.explain()
        if len(living) > 1:
            places = ", ".join(mount.client.mount.path for mount in living)
            raise MountError(f"{self.word}: mounted more than once ({places}); name a mount point")
        living[0].check()
        return living[0].client

    def explain(self) -> NotFoundError:
        """The error that says why there is no living mount."""
        what = "mounted volume" if self.volume else "volume"
        where = "" if self.environment == MAIN else f" in environment '{self.environment}'"
        hints = (*self._hint_at_own(), *self._hint_at_environments(), *self._hint_at_others())
        return NotFoundError(
            f"{self.word}: neither a mount point nor a {what} of the store {self.store}{where}"
            + "".join(f"; {hint}" for hint in hints)
        )

    def _hint_at_own(self) -> Iterator[str]:
        seen = {mount.session.name for mount in self.mounts}
        for session in self.sessions:
            if not session.alive and session.name in seen:
                yield f"its mount at {session.mountpoint} is dead"
            elif session.alive and session.name not in seen:
                yield (
                    f"process {session.pid} has it for {session.mountpoint}, "
                    "where this process does not see it mounted"
                )

    def _hint_at_environments(self) -> Iterator[str]:
        for environment in self.elsewhere:
            yield f"environment '{environment}' has one: -e {environment}"

    def _hint_at_others(self) -> Iterator[str]:
        own = {mount.client.mount.device for mount in self.mounts}
        source = join_name(self.environment, self.word)
        others = [client.mount for client in list_mounts() if client.mount.source == source]
        for mount in others:
            if mount.device not in own:
                yield f"of another store is the {self.word} at {mount.path}: name the mount point"


def may_be_name(target: str) -> bool:
    """Whether an argument can be a volume's name. If not, it is a path, and needs no store."""
    return "/" not in target and target not in ("", ".", "..")


def _resolve(target: str, store: str, environment: str) -> MountClient | _NamedVolume:
    if not may_be_name(target):
        return get_mount(target)
    here = _find_here(target)
    with _named_only(target):
        named = _look_up(target, store, environment, may_lack=here is not None)
    if here is None:
        return named
    if here.mount.device in {m.client.mount.device for m in named.mounts}:
        return here
    if named.volume is None:
        _check_not_namesake(here.mount, target, environment)
        return here
    raise MountError(
        f"{target}: a volume of the store {store}, but the mount at {here.mount.path} is another "
        f"one's; ./{target} is the mount point"
    )


def _check_not_namesake(mount: MountPoint, word: str, environment: str) -> None:
    """MountError if a mount shows a volume of that name from an environment that is not in use."""
    where, name = split_name(mount.source)
    if name == word and (where or MAIN) != environment:
        raise MountError(
            f"{word}: no volume in environment '{environment}', and the mount at {mount.path} is "
            f"of environment '{where or MAIN}'; ./{word} is the mount point"
        )


def _find_here(word: str) -> MountClient | None:
    found = find_mount_point(word)
    return MountClient(found) if found is not None and found.fs_type == FS_TYPE else None


def _look_up(word: str, url: str, environment: str, *, may_lack: bool) -> _NamedVolume:
    """Look a word up in a store. NotAStoreError, unless the store ``may_lack``; StoreError,
    DataError."""
    try:
        store = open_store(url)
    except NotAStoreError:
        if may_lack:
            return _NamedVolume(word, url, environment)
        raise
    try:
        volume = find_volume_by_name(store, word, environment)
        sessions = list_volume_sessions(store, volume) if volume else []
        elsewhere = [] if volume else list_environments_of(store, word)
    finally:
        store.close()
    return _NamedVolume(word, url, environment, volume, sessions, _find_mounts(sessions), elsewhere)


@contextmanager
def _named_only(word: str) -> Iterator[None]:
    """Add to an error of the store that only the name needed the store."""
    try:
        yield
    except (StoreError, DataError, NotAStoreError) as error:
        raise type(error)(f"{error}; a mount is reached by its mount point as well") from error


# --- mounts of sessions -------------------------------------------------------


def _find_mounts(sessions: list[SessionInfo]) -> list[FoundMount]:
    seen: Seen = {}
    for client in list_mounts():
        seen.setdefault(client.mount.device, []).append(client)
    found = ((session, _find_mount(session, seen)) for session in sessions)
    return [FoundMount(client, session) for session, client in found if client is not None]


def _find_mount(session: SessionInfo, seen: Seen) -> MountClient | None:
    if session.device is None:
        return _ask_for_older(session, seen) if session.alive else None
    clients = seen.get(session.device, [])
    at_its_place = [client for client in clients if _is_at(client, session)]
    if not session.alive:
        # The number, and even the place, may be those of a newer mount.
        return next((client for client in at_its_place if not client.is_alive()), None)
    return next(iter((*at_its_place, *clients)), None)


def _is_at(client: MountClient, session: SessionInfo) -> bool:
    return client.mount.path == session.mountpoint


def _ask_for_older(session: SessionInfo, seen: Seen) -> MountClient | None:
    """The mount of a daemon that has not noted its device. One that does not answer does not
    count."""
    for clients in seen.values():
        for client in clients:
            if client.mount.source == session.volume and _is_at(client, session):
                with suppress(MountError):
                    said = client.status()
                    if not said.session and _has(said, session):
                        return client
    return None


def _has(said: MountStatus, session: SessionInfo) -> bool:
    """Whether a daemon with this status has this very session, and not one that was copied from
    it."""
    if said.session:
        try:
            return said.session == identify_session(session.path)
        except FileNotFoundError:
            return False
    same = (said.pid, said.volume_id) == (session.pid, session.volume_id)
    return same and _is_store_of(said.store, session)


def _is_store_of(url: str, session: SessionInfo) -> bool:
    """Whether the session's directory is in that store, or is only named by a lease of it."""
    inner = Path(url) / SESSIONS / session.path.name
    try:
        return inner.samefile(session.path)
    except OSError:
        return not inner.exists()
