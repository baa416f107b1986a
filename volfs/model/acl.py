"""POSIX ACLs: what Linux keeps in two extended attributes, and what the mode has to do with it.

The value is little endian: the version, 2, then for each entry its tag, its
permissions and whom it is about. acl(5) has the rules; those about creation and
chmod are the kernel's, so that volumes do as ext4 and XFS do.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from volfs.errors import AttributeTooLargeError, InvalidOperationError
from volfs.model.entry import FileKind

ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
NAMES = frozenset((ACCESS, DEFAULT))
SIZE_MAX = 4096
"""Bytes of a value: the kernel asks a FUSE file system for no more than a page."""
NOBODY = 0xFFFF_FFFF
"""Whom an entry is about that names nobody."""
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")

Xattrs = tuple[tuple[bytes, bytes], ...]
"""Extended attributes in the order of their names, as an entry has them."""


class AclTag(enum.IntEnum):
    """In the order in which an ACL has them."""

    OWNER = 1
    USER = 2
    OWNING_GROUP = 4
    GROUP = 8
    MASK = 16
    OTHER = 32


_NAMED = (AclTag.USER, AclTag.GROUP)
_ONCE = (AclTag.OWNER, AclTag.OWNING_GROUP, AclTag.OTHER)


class AclEntry(NamedTuple):
    """What one user or group may do, or a class of them."""

    tag: AclTag
    permissions: int
    who: int = NOBODY


Acl = tuple[AclEntry, ...]


def decode_acl(value: bytes) -> Acl:
    """InvalidOperationError if the kernel would refuse it; AttributeTooLargeError."""
    if len(value) > SIZE_MAX:
        raise AttributeTooLargeError(f"an ACL of {len(value)} bytes; {SIZE_MAX} are the most")
    try:
        (version,) = _VERSION.unpack_from(value)
        fields = _ENTRY.iter_unpack(value[_VERSION.size :])
        acl = tuple(_make_entry(*field) for field in fields)
    except (struct.error, ValueError) as error:
        raise InvalidOperationError(f"malformed ACL: {error}") from None
    if version != 2 or not _is_valid(acl):
        raise InvalidOperationError("malformed ACL")
    return acl


def _make_entry(tag: int, permissions: int, who: int) -> AclEntry:
    return AclEntry(AclTag(tag), permissions, who if tag in _NAMED else NOBODY)


def _is_valid(acl: Acl) -> bool:
    """Whether it is in order and complete; an ACL without entries is none, and is."""
    tags = [entry.tag for entry in acl]
    named = [entry for entry in acl if entry.tag in _NAMED]
    return not acl or (
        tags == sorted(tags)
        and all(tags.count(tag) == 1 for tag in _ONCE)
        and bool(named) <= tags.count(AclTag.MASK) <= 1
        and all(entry.permissions <= 0o7 for entry in acl)
        and all(entry.who != NOBODY for entry in named)
    )


def encode_acl(acl: Acl) -> bytes:
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in acl)


def is_mode(acl: Acl) -> bool:
    """Whether the ACL says no more than nine bits of a mode can."""
    return all(entry.tag in _ONCE for entry in acl)


def to_mode(acl: Acl) -> int:
    """The nine bits that stat(2) shows: for the group those of the mask, if there is one."""
    bits = {entry.tag: entry.permissions for entry in acl}
    group = bits.get(AclTag.MASK, bits[AclTag.OWNING_GROUP])
    return bits[AclTag.OWNER] << 6 | group << 3 | bits[AclTag.OTHER]


def with_mode(acl: Acl, mode: int) -> Acl:
    """As chmod(2) leaves it: what the mode shows is the mode's, named entries stay."""
    group = AclTag.OWNING_GROUP if is_mode(acl) else AclTag.MASK
    bits = {AclTag.OWNER: mode >> 6 & 7, group: mode >> 3 & 7, AclTag.OTHER: mode & 7}
    return tuple(
        entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in acl
    )


# --- among the attributes of an entry ----------------------------------------


def set_acl(xattrs: Xattrs, name: bytes, acl: Acl) -> Xattrs:
    """The attributes with an ACL, or without where it is empty, or an access ACL that
    says no more than the mode."""
    others = tuple((key, value) for key, value in xattrs if key != name)
    if not acl or (name == ACCESS and is_mode(acl)):
        return others
    return tuple(sorted((*others, (name, encode_acl(acl)))))


def follow_mode(xattrs: Xattrs, mode: int) -> Xattrs:
    """The attributes after a chmod. InvalidOperationError if they have a malformed ACL."""
    value = dict(xattrs).get(ACCESS)
    if value is None:
        return xattrs
    return set_acl(xattrs, ACCESS, with_mode(decode_acl(value), mode))


def inherit(above: Xattrs, kind: FileKind, mode: int, umask: int) -> tuple[int, Xattrs]:
    """Mode and attributes of what is made in a directory with the attributes ``above``.

    The umask is for where there is no default ACL. InvalidOperationError if it is malformed.
    """
    if kind == FileKind.SYMLINK:
        return mode, ()
    value = dict(above).get(DEFAULT) if above else None
    if value is None:
        return mode & ~umask, ()
    default = decode_acl(value)
    mode &= to_mode(default) | ~0o777
    xattrs = set_acl((), ACCESS, with_mode(default, mode))
    if kind == FileKind.DIRECTORY:
        xattrs = set_acl(xattrs, DEFAULT, default)
    return mode, xattrs
