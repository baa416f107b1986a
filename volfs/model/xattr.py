"""Extended attributes: which names a volume keeps, how large they may be, and who may see them.

The rules are ext4's, except that ``security.*`` is refused: its attributes give privileges, and a
version may come from anybody.
"""

from __future__ import annotations

from volfs.errors import (
    AttributeTooLargeError,
    InvalidOperationError,
    NoAttributeError,
    NotSupportedError,
)
from volfs.model.acl import NAMES as ACL_NAMES
from volfs.model.acl import Xattrs
from volfs.model.entry import XATTR_TOTAL_MAX

TRUSTED = b"trusted."
KEPT = (b"user.", TRUSTED)
SECURITY = b"security."
LIST_MAX = 65_536
"""Bytes of all names, each with the NUL that ends it. The kernel lists no more."""


def check_name(name: bytes, *, reading: bool = False) -> None:
    """Refuse a name that a volume does not keep.

    InvalidOperationError for a namespace without a name behind it. NotSupportedError for an
    unknown namespace. NoAttributeError if ``reading`` asks for an attribute that can never exist.
    """
    if name in (*KEPT, SECURITY):
        raise InvalidOperationError("an attribute's name is only its namespace")
    if name.startswith(KEPT) or name in ACL_NAMES:
        return
    if reading and name.startswith(SECURITY):
        raise NoAttributeError("no such attribute")
    namespace = name.split(b".")[0].decode("utf-8", "backslashreplace")
    raise NotSupportedError(f"attributes of {namespace} are not kept")


def check_sizes(xattrs: Xattrs) -> None:
    """AttributeTooLargeError if an entry, or listxattr(2), has no room for these attributes."""
    if sum(len(name) + len(value) for name, value in xattrs) > XATTR_TOTAL_MAX:
        raise AttributeTooLargeError(f"attributes of more than {XATTR_TOTAL_MAX} bytes")
    if sum(len(name) + 1 for name, _ in xattrs) > LIST_MAX:
        raise AttributeTooLargeError(f"names of attributes of more than {LIST_MAX} bytes")


def list_names(xattrs: Xattrs, *, privileged: bool) -> list[bytes]:
    """The names that a process may see: only root sees ``trusted.*``."""
    return [name for name, _ in xattrs if privileged or not name.startswith(TRUSTED)]
