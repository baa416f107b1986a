"""The versions of a volume as records, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from volfs.errors import NotFoundError
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.objects import Oid
from volfs.store.base import Head, Store, VolumeRecord


class VersionInfo(NamedTuple):
    """What ``volfs log`` says of one version."""

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
    """A version, and how many automatic ones right before it are not shown."""

    info: VersionInfo
    hidden: int


def iter_history(store: Store, volume: VolumeRecord) -> Iterator[VersionInfo]:
    """All versions but the empty one that the volume was created with."""
    for head in store.iter_versions(volume.id):
        if head.version > 0:
            yield describe_version(head, load_manifest(store, head.manifest))


def fold_automatic(versions: Iterable[VersionInfo]) -> Iterator[Folded]:
    """Each run of automatic versions as its newest one alone."""
    newest: VersionInfo | None = None
    hidden = 0
    for info in versions:
        if newest and newest.auto and info.auto:
            hidden += 1
            continue
        if newest:
            yield Folded(newest, hidden)
        newest, hidden = info, 0
    if newest:
        yield Folded(newest, hidden)


def describe_version(head: Head, manifest: Manifest) -> VersionInfo:
    totals = manifest.snapshot.totals
    return VersionInfo(
        head.version,
        manifest.created_ns,
        manifest.message,
        manifest.author,
        totals.files,
        totals.directories,
        totals.bytes,
        manifest.auto,
        head.manifest,
    )


def load_manifest(store: Store, oid: Oid) -> Manifest:
    """DataError if it is missing or damaged."""
    return decode_manifest(store.objects.load_object(oid))


def get_version(store: Store, volume: VolumeRecord, text: str) -> Head:
    """The version that a user named: its number, or ``head``. NotFoundError."""
    if text == "head":
        return store.get_head(volume.id)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    manifest = store.find_version(volume.id, number)
    if manifest is None:
        raise NotFoundError(f"{volume.name}: no version {text}; `volfs log {volume.name}` has all")
    return Head(number, manifest)
