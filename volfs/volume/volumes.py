"""Making, renaming and deleting volumes."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Collection

import msgspec

from volfs.errors import InvalidError, NotFoundError, VolumeInUseError
from volfs.model.manifest import Manifest, encode_manifest, make_first_manifest
from volfs.model.names import MAIN, check_environment, check_volume_name
from volfs.model.objects import Kind, compute_oid
from volfs.model.profile import DEFAULT_CHUNK_BITS, DEFAULT_PROFILE, get_profile
from volfs.sessions.info import list_volume_sessions
from volfs.sessions.liveness import drop_stale_leases_of
from volfs.store.clock import now_ns
from volfs.store.contract.leases import Leases
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.identity import default_author, make_id
from volfs.store.origin import ForkedFrom, describe_record
from volfs.volume.history import load_manifest
from volfs.volume.leases import held_version


def create_volume(
    store: Store,
    name: str,
    *,
    profile: int = DEFAULT_PROFILE,
    auto_commit: float | None = None,
    chunk_bits: int = DEFAULT_CHUNK_BITS,
    network: bool = False,
    environment: str = MAIN,
) -> VolumeRecord:
    """Create an empty volume. AlreadyExistsError; InvalidNameError; InvalidError for a bad option.

    ``auto_commit`` is the default interval of its mounts in seconds; None means off. With
    ``network`` the volume is a network file system. The environment may be new.
    """
    if auto_commit is not None and not (math.isfinite(auto_commit) and auto_commit > 0):
        raise InvalidError(f"an auto-commit interval of {auto_commit} seconds makes no sense")
    record = VolumeRecord(
        id=make_id("sv" if network else "vo"),
        name=check_volume_name(name),
        profile=get_profile(profile).number,
        chunk_bits=chunk_bits,
        created_ns=now_ns(),
        created_by=default_author(),
        auto_commit=auto_commit,
        environment=check_environment(environment),
    )
    store.refs.create_volume(record, encode_manifest(make_first_version(record)))
    return record


def find_volume_by_name(store: Store, name: str, environment: str) -> VolumeRecord | None:
    try:
        return store.refs.get_volume(name, environment)
    except NotFoundError:
        return None


def create_ephemeral_volume(
    store: Store, volume_id: str, profile: int, environment: str = MAIN
) -> VolumeRecord:
    """Create an empty volume whose name is its id. InvalidError for a bad profile."""
    record = VolumeRecord(
        id=volume_id,
        name=volume_id,
        profile=get_profile(profile).number,
        chunk_bits=DEFAULT_CHUNK_BITS,
        created_ns=now_ns(),
        created_by=default_author(),
        environment=environment,
    )
    store.refs.create_volume(record, encode_manifest(make_first_version(record)))
    return record


def is_ephemeral(record: VolumeRecord) -> bool:
    """Whether a volume has no name of its own, and goes away when nobody needs it any more."""
    return record.name == record.id


def fork_volume(
    store: Store, source: VolumeRecord, name: str, at: Head, environment: str | None = None
) -> VolumeRecord:
    """Create a volume whose version 1 is a version of ``source``. O(1): all objects are shared.

    It is in the environment of ``source``, unless another is given. AlreadyExistsError;
    InvalidNameError; NotFoundError if the version is gone.
    """
    record = msgspec.structs.replace(
        source,
        id=make_id("vo"),
        name=check_volume_name(name),
        created_ns=now_ns(),
        created_by=default_author(),
        environment=check_environment(environment or source.environment),
    )
    with held_version(store, source, lambda: at):
        manifests = _fork_manifests(store, source, record, at)
        store.refs.fork_volume(record, manifests, source.id, at.version)
    return record


def _fork_manifests(
    store: Store, source: VolumeRecord, record: VolumeRecord, at: Head
) -> tuple[bytes, bytes]:
    """The manifests of the versions 0 and 1 of a fork."""
    first = make_first_version(record, ForkedFrom(source.id, at.version))
    empty = encode_manifest(first)
    forked = msgspec.structs.replace(
        load_manifest(store.objects_of(source.id), at.manifest),
        volume=record.id,
        version=1,
        parent=compute_oid(Kind.MANIFEST, empty),
        created_ns=record.created_ns,
        author=first.author,
        message=f"fork of {source.full_name} at version {at.version}",
        auto=False,
        nonce=secrets.token_bytes(16),
    )
    return empty, encode_manifest(forked)


def make_first_version(record: VolumeRecord, forked: ForkedFrom | None = None) -> Manifest:
    """Version 0 of a new volume: an empty directory, and a message that tells the record."""
    manifest = make_first_manifest(
        record.id,
        nonce=secrets.token_bytes(16),
        now_ns=record.created_ns,
        author=record.created_by,
        uid=os.getuid(),
        gid=os.getgid(),
    )
    return msgspec.structs.replace(manifest, message=describe_record(record, forked))


def rename_volume(
    store: Store, old: str, new: str, environment: str = MAIN, to: str | None = None
) -> None:
    """Give a volume another name, and perhaps another environment ``to``. Its id and mounts stay.

    NotFoundError; AlreadyExistsError; InvalidNameError.
    """
    check_volume_name(new)
    store.refs.rename_volume(old, new, environment, check_environment(to or environment))


def delete_volume(
    store: Store, name: str, *, network: bool = False, environment: str = MAIN
) -> None:
    """Remove a volume and its history; with ``network``, a network file system and its history.

    NotFoundError; the errors of ``check_deletable``.
    """
    record = store.refs.get_volume(name, environment)
    check_deletable(store, record, network=network)
    drop_stale_leases_of(store, record.id)
    # A mount that has just begun has a lease, but no facts yet by which it would be found.
    store.refs.delete_volume(name, environment)


def check_deletable(
    store: Store, record: VolumeRecord, *, network: bool, besides: Collection[str] = ()
) -> None:
    """Check that a volume may be deleted. InvalidError if it is of the other kind;
    VolumeInUseError if a mount has it.

    A dead mount has it, too, because of the changes that it left, unless its session is in
    ``besides``.
    """
    _check_kind(record, network)
    for session in list_volume_sessions(store, record):
        if session.name in besides:
            continue
        if session.alive:
            raise VolumeInUseError(
                f"{record.full_name}: mounted at {session.mountpoint}; unmount it first: "
                f"volfs umount {session.mountpoint}"
            )
        if not session.read_only:
            raise VolumeInUseError(
                f"{record.full_name}: a mount at {session.mountpoint} died and left changes that "
                f"are not committed; `volfs overlays commit {session.name}` keeps them, "
                f"`volfs overlays adopt {session.name} DIRECTORY` mounts them, "
                f"`volfs overlays discard {session.name}` drops them"
            )
    _check_elsewhere(store.leases, record)


def _check_elsewhere(leases: Leases, record: VolumeRecord) -> None:
    """VolumeInUseError if a session of another host has the volume, which cannot be seen from
    here."""
    for lease in leases.list_all():
        is_ours = lease.may_be_judged_at(leases.host)
        if lease.volume_id != record.id or is_ours or lease.is_hold:
            continue
        raise VolumeInUseError(
            f"{record.full_name}: mounted on {lease.host_name or lease.host} at {lease.place}; "
            f"unmount it there; if that machine never comes back, "
            f"`volfs overlays forget {lease.session}`"
        )


def _check_kind(record: VolumeRecord, network: bool) -> None:
    if record.is_network != network:
        kinds = ("Volume", "volfs delete"), ("NetworkFileSystem", "volfs nfs delete")
        kind, command = kinds[record.is_network]
        raise InvalidError(
            f"{record.full_name} is a {kind}, not a {kinds[network][0]}; "
            f"`{command} {record.full_name}` removes it"
        )


def list_environments_of(store: Store, name: str) -> list[str]:
    """The environments in which a volume has this name."""
    return sorted(record.environment for record in store.refs.list_volumes() if record.name == name)
