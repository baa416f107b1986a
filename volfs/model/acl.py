"""POSIX ACLs: the two extended attributes that Linux keeps them in, and their relation to the
mode.

The value is little endian: the version, 2, then for each entry its tag, its permissions and the id
of its user or group. acl(5) has the rules. The rules for creation and chmod are the kernel's, so
that volumes behave as ext4 and XFS do.
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
"""The longest value in bytes: the kernel asks a FUSE file system for no more than a page."""
NOBODY = 0xFFFF_FFFF
"""The id in an entry that names no user and no group."""
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")

Xattrs = tuple[tuple[bytes, bytes], ...]
"""Extended attributes in the order of their names, as an entry has them."""


class AclTag(enum.IntEnum):
    """The tags of entries, in the order in which an ACL has them."""

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
    """Decode and check an ACL.

    InvalidOperationError for an ACL that the kernel would refuse; AttributeTooLargeError.
    """
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
    """Whether the ACL is in order and complete. An ACL without entries is no ACL, and is valid."""
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
    """Whether the nine bits of a mode can say everything that the ACL says."""
    return all(entry.tag in _ONCE for entry in acl)


def to_mode(acl: Acl) -> int:
    """The nine bits that stat(2) shows. The bits of the group are those of the mask, if there is
    one."""
    bits = {entry.tag: entry.permissions for entry in acl}
    group = bits.get(AclTag.MASK, bits[AclTag.OWNING_GROUP])
    return bits[AclTag.OWNER] << 6 | group << 3 | bits[AclTag.OTHER]


def with_mode(acl: Acl, mode: int) -> Acl:
    """The ACL after a chmod(2): the entries that the mode shows change, named entries stay."""
    group = AclTag.OWNING_GROUP if is_mode(acl) else AclTag.MASK
    bits = {AclTag.OWNER: mode >> 6 & 7, group: mode >> 3 & 7, AclTag.OTHER: mode & 7}
    return tuple(
        entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in acl
    )


# --- among the attributes of an entry ----------------------------------------


def set_acl(xattrs: Xattrs, name: bytes, acl: Acl) -> Xattrs:
    """The attributes with this ACL.

    An empty ACL is removed, and so is an access ACL that says no more than the mode.
    """
    others = tuple((key, value) for key, value in xattrs if key != name)
    if not acl or (name == ACCESS and is_mode(acl)):
        return others
    return tuple(sorted((*others, (name, encode_acl(acl)))))


def follow_mode(xattrs: Xattrs, mode: int) -> Xattrs:
    """The attributes after a chmod. InvalidOperationError if their ACL is malformed."""
    value = dict(xattrs).get(ACCESS)
    if value is None:
        return xattrs
    return set_acl(xattrs, ACCESS, with_mode(decode_acl(value), mode))


def inherit(above: Xattrs, kind: FileKind, mode: int, umask: int) -> tuple[int, Xattrs]:
    """The mode and attributes of what is made in a directory with the attributes ``above``.

    The umask applies only if the directory has no default ACL. InvalidOperationError if that ACL
    is malformed.
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
