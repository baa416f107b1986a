"""Words that name a volume: by its name, or by the place where it is mounted; and its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.control.protocol import MountStatus
    from volfs.errors import NotFoundError
    from volfs.store.contract.refs import Head, VolumeRecord
    from volfs.store.contract.store import Store


def is_path(word: str) -> bool:
    """Whether a word can only be a path. ENV/NAME may be a path as well."""
    return (
        word in (".", "..")
        or word.startswith(("/", "./", "../"))
        or word.endswith("/")
        or word.count("/") > 1
    )


def is_mounted_there(word: str) -> bool:
    """Whether a word is a path in a mount of volfs."""
    from volfs.control.mounts import FS_TYPE, find_meant

    found = find_meant(word) if is_path(word) else None
    return found is not None and found.fs_type == FS_TYPE


def find_mount_here(word: str) -> MountClient | None:
    """The mount of volfs at exactly the path that a word is, too."""
    from volfs.control.mount_client import MountClient
    from volfs.control.mounts import FS_TYPE, find_mount_point

    found = find_mount_point(word)
    return MountClient(found) if found is not None and found.fs_type == FS_TYPE else None


def ask_for_volume(mount: MountClient) -> MountStatus:
    """What the daemon of a mount says of its volume. MountError, also for a bucket's mount."""
    from volfs.errors import MountError

    said = mount.status()
    if said.bucket is not None:
        raise MountError(f"{mount.mount.path}: a bucket is mounted there, which has no versions")
    return said


def explain_no_volume(store: Store, word: str, why: str) -> NotFoundError:
    """The error for a word that names no volume, with what would work if it has a version in
    it."""
    from volfs.errors import NotFoundError

    name, at, version = word.rpartition("@")
    known = {record.name for record in store.refs.list_volumes()} if at else set()
    if name in known:
        why = (
            f"{word}: no such volume, but '{name}' is one: only `volfs diff` takes {word}, "
            f"elsewhere a version is an argument of its own, or --at {version}"
        )
    return NotFoundError(why)


def get_named_version(store: Store, record: VolumeRecord, text: str) -> Head:
    """The version that a user named. NotFoundError that says what the text is, if it is not a
    version of this volume."""
    from volfs.errors import NotFoundError
    from volfs.volume.history import get_version

    try:
        return get_version(store.refs, record, text)
    except NotFoundError as error:
        hint = _hint_at_volume(store, record, text) or _hint_at_path(store, record, text)
        raise NotFoundError(f"{error}{hint and '; '}{hint}") from None


def _hint_at_volume(store: Store, record: VolumeRecord, text: str) -> str:
    """The advice for the name of a volume in the place of a version; and for a tag of another."""
    alone, _, version = text.partition("@")
    for other in store.refs.list_volumes():
        if other.environment != record.environment or other.id == record.id:
            continue
        if other.name == alone:
            wanted = f"{other.name}@{version or 'head'}"
            return f"{alone} is a volume: `volfs diff {record.full_name}@head {wanted}`"
    return ""


def _hint_at_path(store: Store, record: VolumeRecord, text: str) -> str:
    """The advice for a path in the place of a version."""
    from volfs.errors import VolfsError
    from volfs.model.names import parse_path
    from volfs.volume.version_reader import Reader

    reader = Reader(store.objects_of(record.id).load_object)
    try:
        snapshot = reader.load_manifest(store.refs.get_head(record.id).manifest).snapshot
        found = reader.find_path(snapshot, parse_path(text))
    except VolfsError:
        return ""
    return f"{text} is a path: name the version first, as in head~ {text}" if found else ""
