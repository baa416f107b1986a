"""The immutable record of one version. Layout: docs/format.md, "Manifests"."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError, InvalidError
from volfs.model.entry import (
    I64,
    UNKNOWN,
    Entry,
    FileKind,
    OidBytes,
    Size,
    Sum,
    Totals,
    add_known,
    check_entry,
    check_storable,
    with_known_sums,
)
from volfs.model.objects import NO_OID, Buffer, Oid
from volfs.model.text import from_stored, to_stored

ROOT_NAME = b"root"
"""The name in the entry of a root directory. Nobody looks it up."""
AUTHOR_MAX = 256
MESSAGE_MAX = 65_536


class Snapshot(NamedTuple):
    """What a version consists of: the tree of directories, and the link tree with its sums."""

    root: Entry
    links: Oid
    link_files: int
    link_bytes: int
    link_data: int = UNKNOWN
    """Bytes that are not holes."""

    @property
    def totals(self) -> Totals:
        """Files, directories (the root not counted) and bytes."""
        root = self.root
        data = add_known(root.data, self.link_data if self.links else 0)
        linked = root.totals.linked
        size = root.content_bytes + self.link_bytes
        return Totals(
            root.files + self.link_files, root.directories, size, data=data, linked=linked
        )


class Manifest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One version: the root directory with its attributes, and where it came from."""

    volume: Annotated[str, Meta(max_length=64)]
    version: Size
    parent: OidBytes
    """The manifest that this one was published upon; empty for version 0."""
    created_ns: I64
    author: Annotated[str, Meta(max_length=AUTHOR_MAX)]
    message: Annotated[str, Meta(max_length=MESSAGE_MAX)]
    auto: bool
    """Whether a background commit made it."""
    nonce: Annotated[bytes, Meta(min_length=16, max_length=16)]
    """Random bytes, so that no two publishers make the same manifest, and each knows its own."""
    root: Entry
    links: OidBytes = NO_OID
    """The link tree: a record for each group of hard links."""
    link_files: Size = 0
    link_bytes: Size = 0
    """The sums of the link tree: a hard-linked file counts there, once."""
    link_data: Sum = UNKNOWN

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.root, Oid(self.links), self.link_files, self.link_bytes, self.link_data
        )


_decoder = msgspec.msgpack.Decoder(Manifest)
_encoder = msgspec.msgpack.Encoder()


def encode_manifest(manifest: Manifest) -> bytes:
    """InvalidError for an author or a message that is too long.

    DamagedObjectError for a root that no reader would accept.
    """
    root = with_known_sums(manifest.root)
    check_storable(root)
    author = _store_text("author", manifest.author, AUTHOR_MAX)
    message = check_message(manifest.message)
    link_data = manifest.link_data if manifest.links else 0
    return _encoder.encode(
        msgspec.structs.replace(
            manifest, author=author, message=message, root=root, link_data=link_data
        )
    )


def check_message(message: str) -> str:
    """Return the message as it is stored. InvalidError for one that is too long."""
    return _store_text("message", message, MESSAGE_MAX)


def _store_text(what: str, text: str, limit: int) -> str:
    stored = to_stored(text)
    if len(stored) > limit:
        raise InvalidError(f"{what} of {len(stored)} characters: longer than {limit}")
    return stored


def decode_manifest(data: Buffer) -> Manifest:
    """DamagedObjectError for everything that no volfs writes."""
    try:
        manifest = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"manifest: {error}") from error
    check_entry(manifest.root)
    if not manifest.root.is_directory:
        raise DamagedObjectError("manifest: the root is no directory")
    if not {len(manifest.parent), len(manifest.links)} <= {0, 32}:
        raise DamagedObjectError("manifest: impossible object id")
    author, message = from_stored(manifest.author), from_stored(manifest.message)
    root = with_known_sums(manifest.root)
    return msgspec.structs.replace(manifest, author=author, message=message, root=root)


def make_first_manifest(
    volume: str, *, nonce: bytes, now_ns: int, author: str, uid: int, gid: int
) -> Manifest:
    """Version 0: an empty root directory that belongs to the user who creates the volume."""
    root = Entry(ROOT_NAME, FileKind.DIRECTORY, 0o755, uid, gid, mtime_ns=now_ns, ctime_ns=now_ns)
    root = with_known_sums(root)
    return Manifest(volume, 0, NO_OID, now_ns, author, "", False, nonce, root, link_data=0)
