"""The members of a tar archive that is read as a stream, checked: nothing of them is believed.

- A name is bytes. Slashes at its beginning, empty parts and ``.`` mean nothing; ``..`` is refused.
- The target of a symlink may be anything: a volume does not follow it.
- A hard link names a file that came before it in the archive.
- An archive without its end was cut off, also where a member ends.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import IO, BinaryIO, NamedTuple

from volfs.errors import InvalidPathError, LocalFileError
from volfs.model.entry import SYMLINK_MAX, FileKind, to_storable_time
from volfs.model.names import Path, parse_path
from volfs.model.text import show
from volfs.model.xattr import SECURITY

XATTR = "SCHILY.xattr."
"""How keys of pax headers begin that have extended attributes, as GNU tar and others write them."""
_READ = 1 << 20
_KINDS = {
    tarfile.DIRTYPE: FileKind.DIRECTORY,
    tarfile.SYMTYPE: FileKind.SYMLINK,
    tarfile.FIFOTYPE: FileKind.FIFO,
    tarfile.CHRTYPE: FileKind.CHARACTER,
    tarfile.BLKTYPE: FileKind.BLOCK,
}


class Member(NamedTuple):
    """One member: a file of any kind, or one more name for ``link``."""

    path: Path
    shown: str
    kind: FileKind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    target: bytes
    rdev: int
    xattrs: dict[bytes, bytes]
    link: Path | None
    content: IO[bytes] | None


class _Archive(tarfile.TarFile):
    has_ended = False
    """Whether the mark of the end was read."""


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            assert isinstance(tarfile_, _Archive)
            tarfile_.has_ended = True
            raise
        except tarfile.HeaderError as error:
            raise LocalFileError(f"the archive is cut off or damaged: {error}") from error


@contextmanager
def archive_errors() -> Iterator[None]:
    """Raise what is wrong with an archive, also with the content of a member, as
    LocalFileError."""
    try:
        yield
    except tarfile.TarError as error:
        raise LocalFileError(f"the archive is cut off or damaged: {error}") from error
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise LocalFileError(f"the archive cannot be decompressed: {error}") from error


def iter_members(file: BinaryIO) -> Iterator[Member]:
    """Yield the members of an archive, compressed or not. The content of each has to be read
    before the next one. The caller is in ``archive_errors``."""
    archive = _Archive.open(
        fileobj=file,
        mode="r|*",
        encoding="utf-8",
        errors="surrogateescape",
        tarinfo=_Header,
    )
    assert isinstance(archive, _Archive)
    with archive:
        while (header := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]
            yield _make_member(archive, header)
        if not archive.has_ended:
            raise LocalFileError("the archive is cut off: it has no end")
    while file.read(_READ):  # Whoever writes it may pad it, and is not to meet a closed pipe.
        pass


def _make_member(archive: tarfile.TarFile, header: tarfile.TarInfo) -> Member:
    name = _to_bytes(header.name)
    shown = show(name)
    kind = _KINDS.get(header.type, FileKind.FILE)
    link = _parse(_to_bytes(header.linkname), shown) if header.islnk() else None
    is_file = kind == FileKind.FILE and link is None
    if is_file and not header.isreg():
        raise LocalFileError(f"{shown}: a member of the unknown type {show(header.type)}")
    return Member(
        _parse(name, shown),
        shown,
        kind,
        header.mode & 0o7777,
        _check_id(header.uid, shown),
        _check_id(header.gid, shown),
        _find_time(header),
        header.size,
        _find_target(header, shown) if kind == FileKind.SYMLINK else b"",
        os.makedev(header.devmajor, header.devminor) if header.isdev() else 0,
        _find_xattrs(header),
        link,
        archive.extractfile(header) if is_file else None,
    )


def _to_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _parse(name: bytes, shown: str) -> Path:
    try:
        return parse_path(name.lstrip(b"/"))
    except InvalidPathError as error:
        raise LocalFileError(f"{shown}: {error}") from error


def _check_id(number: int, shown: str) -> int:
    if not 0 <= number < 1 << 32:
        raise LocalFileError(f"{shown}: {number} is no number of a user or group")
    return number


def _find_target(header: tarfile.TarInfo, shown: str) -> bytes:
    target = _to_bytes(header.linkname)
    if not target or len(target) > SYMLINK_MAX or b"\0" in target:
        raise LocalFileError(f"{shown}: a target of {len(target)} bytes")
    return target


def _find_time(header: tarfile.TarInfo) -> int:
    """The modification time. Only the text in a pax header has its nanoseconds."""
    try:
        seconds = Decimal(header.pax_headers.get("mtime", "") or str(header.mtime))
        return to_storable_time(int(seconds.scaleb(9))) if abs(seconds) < 1 << 40 else 0
    except (InvalidOperation, ValueError, OverflowError):
        return 0


def _find_xattrs(header: tarfile.TarInfo) -> dict[bytes, bytes]:
    found = {
        _to_bytes(key.removeprefix(XATTR)): _to_bytes(value)
        for key, value in header.pax_headers.items()
        if key.startswith(XATTR)
    }
    return {name: value for name, value in found.items() if not name.startswith(SECURITY)}
