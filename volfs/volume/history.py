"""The versions of a volume as records, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from volfs.errors import DataError, NotFoundError
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.merge_note import split_merge_note
from volfs.model.names import check_tag_name, is_head, is_tag_name
from volfs.model.objects import Oid
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head, Refs, VolumeRecord
from volfs.store.contract.store import Store


class VersionRecord(NamedTuple):
    """What ``volfs log`` shows of one version."""

    version: int
    created_ns: int
    message: str
    author: str
    files: int
    directories: int
    bytes: int
    auto: bool
    """Whether a background commit made it."""
    manifest: Oid


class Folded(NamedTuple):
    """A version, and how many automatic versions right before it are not shown."""

    info: VersionRecord
    hidden: int


def iter_history(store: Store, volume: VolumeRecord) -> Iterator[VersionRecord]:
    """Yield all versions except the empty one that the volume was created with.

    DataError if a manifest cannot be read, unless its version was removed meanwhile.
    """
    for head, manifest in iter_manifests(store, volume):
        yield describe_version(head, manifest)


def iter_manifests(
    store: Store, volume: VolumeRecord, after: int = 0
) -> Iterator[tuple[Head, Manifest]]:
    """Yield the versions that come after one, newest first, as ``iter_history`` does."""
    objects = store.objects_of(volume.id)
    for head in store.refs.iter_versions(volume.id):
        if head.version <= after:
            return
        try:
            yield head, load_manifest(objects, head.manifest)
        except DataError:
            if store.refs.find_version(volume.id, head.version) == head.manifest:
                raise


def fold_automatic(
    versions: Iterable[VersionRecord], tagged: Collection[int] = ()
) -> Iterator[Folded]:
    """Show each run of automatic versions as its newest one. Tagged versions are always shown."""
    newest: VersionRecord | None = None
    hidden = 0
    for info in versions:
        if newest and newest.auto and info.auto and info.version not in tagged:
            hidden += 1
            continue
        if newest:
            yield Folded(newest, hidden)
        newest, hidden = info, 0
    if newest:
        yield Folded(newest, hidden)


def describe_version(head: Head, manifest: Manifest) -> VersionRecord:
    totals = manifest.snapshot.totals
    return VersionRecord(
        head.version,
        manifest.created_ns,
        split_merge_note(manifest.message)[0],
        manifest.author,
        totals.files,
        totals.directories,
        totals.bytes,
        manifest.auto,
        head.manifest,
    )


def to_local(nanoseconds: int) -> datetime:
    """The local date and time of nanoseconds since 1970, in the range of an i64."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).astimezone()


def load_manifest(objects: Objects, oid: Oid) -> Manifest:
    """Load a manifest. DataError if it is missing or damaged."""
    return decode_manifest(objects.load_object(oid))


# --- naming versions --------------------------------------------------------


def get_version(refs: Refs, volume: VolumeRecord, text: str) -> Head:
    """The version that a user named: a number, a tag, or ``head``. NotFoundError.

    ``~N`` after the name means the Nth version before it, of those that are still there. ``~N``
    alone counts from the head, and ``~`` is ``~1``.
    """
    name, tilde, back = text.partition("~")
    steps = _parse_number(back or "1") if tilde else 0
    head = _find_named(refs, volume, name or ("head" if tilde else ""))
    if head is not None and steps > 0:
        before = (each for each in refs.iter_versions(volume.id) if each.version < head.version)
        head = next(islice(before, steps - 1, None), None)
    if head is None or steps < 0:
        raise NotFoundError(
            f"{volume.full_name}: no version {text}; `volfs log {volume.full_name}` has all, "
            f"`volfs tag {volume.full_name}` the tags"
        )
    return head


def _find_named(refs: Refs, volume: VolumeRecord, name: str) -> Head | None:
    if is_head(name):
        return refs.get_head(volume.id)
    number = _parse_number(name)
    tags = dict(refs.list_tags(volume.id)) if number < 0 and is_tag_name(name) else {}
    version = tags.get(name) if number < 0 else number
    manifest = None if version is None else refs.find_version(volume.id, version)
    return None if version is None or manifest is None else Head(version, manifest)


def _parse_number(text: str) -> int:
    """The number that a text names; -1 if it is no version number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1


def create_tag(
    refs: Refs, volume: VolumeRecord, tag: str, head: Head, *, move: bool = False
) -> None:
    """Give a version a tag. InvalidNameError; AlreadyExistsError if the tag names another version;
    NotFoundError.

    With ``move`` the tag may name another version before.
    """
    refs.put_tag(volume.id, check_tag_name(tag), head.version, move=move)


def list_tags_by_version(refs: Refs, volume: VolumeRecord) -> dict[int, list[str]]:
    """The tags of each version that has tags."""
    tags: dict[int, list[str]] = {}
    for name, version in refs.list_tags(volume.id):
        tags.setdefault(version, []).append(name)
    return tags
