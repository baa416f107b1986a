"""The members of an exported volume. Layout: docs/format.md, "An exported volume"."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec
from xxhash import xxh3_64_hexdigest

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.names import is_tag_name, was_environment, was_volume_name
from volfs.model.objects import OID_SIZE, Oid
from volfs.model.profile import CHUNK_BITS, PROFILES
from volfs.store.contract.refs import Head, VolumeRecord

FORMAT = 1
VOLUME, END = "volume.json", "end.json"
PACKS, VERSIONS = "packs/", "versions/"
MEMBER_MAX = 256 << 20
"""Bytes of the largest member that is read. Each member is read into memory."""

_ATTRIBUTES = (tarfile.XHDTYPE, tarfile.XGLTYPE)
_VOLUME_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")

T = TypeVar("T")


class _Version(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    manifest: str

    def to_head(self) -> Head:
        oid = bytes.fromhex(self.manifest)
        if self.version < 0 or len(oid) != OID_SIZE:
            raise ValueError(f"version {self.version}: an impossible number or manifest")
        return Head(self.version, Oid(oid))


class _Volume(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    volume: VolumeRecord
    versions: list[_Version]
    since: _Version | None
    first: str | None


class _Reached(msgspec.Struct, forbid_unknown_fields=True):
    version: int


class _End(msgspec.Struct, forbid_unknown_fields=True):
    tags: dict[str, int]


class ExportedVolume(NamedTuple):
    """What the first member says."""

    record: VolumeRecord
    versions: list[Head]
    """The versions that the file has, oldest first."""
    since: Head | None
    """The version that the file continues: a replica needs it."""
    first: bytes | None
    """The manifest of version 0, if the original still had it."""


class PackMember(NamedTuple):
    name: str
    data: bytes


class VersionMember(NamedTuple):
    version: int


class EndMember(NamedTuple):
    tags: dict[str, int]


ExportMember = PackMember | VersionMember | EndMember

# --- writing ----------------------------------------------------------------


def encode_volume(volume: ExportedVolume) -> bytes:
    """The first member."""
    record, versions, since, first = volume
    return _encode_json(
        VOLUME,
        _Volume(
            FORMAT,
            record,
            [_from_head(head) for head in versions],
            since and _from_head(since),
            None if first is None else first.hex(),
        ),
    )


def encode_pack(number: int, data: bytes) -> bytes:
    return _encode_member(f"{PACKS}{number:08}", data)


def encode_version(version: int) -> bytes:
    return _encode_json(f"{VERSIONS}{version}.json", _Reached(version))


def encode_end(tags: dict[str, int]) -> bytes:
    """The last member, and the end of the tar."""
    return _encode_json(END, _End(tags)) + bytes(2 * tarfile.BLOCKSIZE)


def _from_head(head: Head) -> _Version:
    return _Version(head.version, head.manifest.hex())


def _encode_json(name: str, value: msgspec.Struct) -> bytes:
    text = msgspec.json.encode(value)
    return _encode_member(name, b"%b\nxxh3 %b\n" % (text, xxh3_64_hexdigest(text).encode()))


def _encode_member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o600
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


# --- reading ----------------------------------------------------------------


class ExportedReader:
    """An exported volume, read from a file or a pipe, once and in order.

    DamagedObjectError for a file that no volfs wrote, or that is damaged or cut short;
    UnsupportedFormatError for one of a newer volfs.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members = _iter_tar(file)
        name, data = next(self._members, ("", b""))
        if name != VOLUME:
            raise DamagedObjectError("this is no volume that `volfs export` wrote")
        self.volume = _decode_volume(data)

    def __iter__(self) -> Iterator[ExportMember]:
        """The members after the first. The last one is an ``EndMember``."""
        for name, data in self._members:
            member = _decode_member(name, data)
            if isinstance(member, EndMember):
                _check_nothing_follows(self._file)
                yield member
                return
            yield member
        raise DamagedObjectError("the file is cut short: it has no end")


def _iter_tar(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The members of a tar, up to its end. ``tarfile`` would read a header of any size into
    memory, and would not tell what follows the end."""
    while True:
        info = _read_header(file)
        if info is None:
            return
        if info.type in _ATTRIBUTES:  # Another tar program wrote them. They mean nothing here.
            _read_content(file, info)
        elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield info.name, _read_content(file, info)
        else:
            raise DamagedObjectError(f"{info.name!r}: no volfs writes such a member")


def _read_header(file: BinaryIO) -> tarfile.TarInfo | None:
    """The header of the next member; None at the end."""
    block = file.read(tarfile.BLOCKSIZE)
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return None
    except tarfile.TarError as error:
        raise DamagedObjectError(f"this is no whole tar: {error}") from error


def _read_content(file: BinaryIO, info: tarfile.TarInfo) -> bytes:
    if not 0 <= info.size <= MEMBER_MAX:
        raise DamagedObjectError(f"{info.name!r}: no volfs writes such a member")
    padded = info.size + -info.size % tarfile.BLOCKSIZE
    data = file.read(padded)
    if len(data) != padded:
        raise DamagedObjectError(f"the file is cut short in {info.name!r}")
    return data[: info.size]


def _check_nothing_follows(file: BinaryIO) -> None:
    """A tar ends with zeros."""
    while piece := file.read(1 << 20):
        if piece.count(0) != len(piece):
            raise DamagedObjectError(
                "something follows the end; if it is another exported volume, import it by itself"
            )


def _decode_volume(data: bytes) -> ExportedVolume:
    _check_format(data)
    said = _decode_json(VOLUME, data, _Volume)
    try:
        versions = [version.to_head() for version in said.versions]
        since = None if said.since is None else said.since.to_head()
        first = None if said.first is None else bytes.fromhex(said.first)
    except ValueError as error:
        raise DamagedObjectError(f"{VOLUME}: {error}") from error
    _check_order([since, *versions] if since else versions)
    _check_record(said.volume)
    return ExportedVolume(said.volume, versions, since, first)


class _Format(msgspec.Struct):
    format: int


def _check_format(data: bytes) -> None:
    """UnsupportedFormatError for a later format, whatever else it has."""
    said = _decode_json(VOLUME, data, _Format)
    if said.format != FORMAT:
        raise UnsupportedFormatError(
            f"an exported volume of format {said.format}; this volfs reads {FORMAT}"
        )


def _check_order(versions: list[Head]) -> None:
    numbers = [head.version for head in versions]
    if sorted(set(numbers)) != numbers:
        raise DamagedObjectError(f"{VOLUME}: the versions are not in order")


def _check_record(record: VolumeRecord) -> None:
    if not (was_volume_name(record.name) and was_environment(record.environment)):
        raise DamagedObjectError(f"{VOLUME}: no volume is called {record.full_name!r}")
    # The id becomes part of the names of files.
    if not _VOLUME_ID.fullmatch(record.id):
        raise DamagedObjectError(f"{VOLUME}: no volume has the id {record.id!r}")
    if record.profile not in PROFILES or record.chunk_bits not in CHUNK_BITS:
        raise DamagedObjectError(f"{VOLUME}: no volume has such limits")


def _decode_member(name: str, data: bytes) -> ExportMember:
    if name.startswith(PACKS):
        return PackMember(name, data)
    if name.startswith(VERSIONS):
        return VersionMember(_decode_json(name, data, _Reached).version)
    if name == END:
        return EndMember(_check_tags(_decode_json(name, data, _End).tags))
    raise DamagedObjectError(f"{name!r}: no volfs writes such a member")


def _check_tags(tags: dict[str, int]) -> dict[str, int]:
    for tag in tags:
        if not is_tag_name(tag):
            raise DamagedObjectError(f"{END}: no tag is called {tag!r}")
    return tags


def _decode_json(name: str, data: bytes, kind: type[T]) -> T:
    text, _, checksum = data.partition(b"\n")
    if checksum != b"xxh3 %b\n" % xxh3_64_hexdigest(text).encode():
        raise DamagedObjectError(f"{name}: checksum")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DamagedObjectError(f"{name}: {error}") from error
