"""The extended attributes of local files, and which of them a volume keeps."""

from __future__ import annotations

from collections.abc import Mapping

from volfs.errors import AttributeTooLargeError, LocalFileError, VolfsError
from volfs.model.acl import Xattrs
from volfs.model.text import show
from volfs.model.xattr import check_name, check_sizes
from volfs.system.file_xattrs import read_xattrs_of
from volfs.volume.local_listing import Local, local_errors, opened_directory, opened_file


def read_local_xattrs(item: Local) -> Xattrs:
    """The attributes of a listed file or directory that a volume keeps, ACLs among them. Those of
    symlinks are not kept. LocalFileError."""
    if not (item.is_directory or item.is_file):
        return ()
    opened = opened_directory if item.is_directory else opened_file
    with opened(item) as fd, local_errors(item.local):
        return keep_xattrs(read_xattrs_of(fd), item.local)


def keep_xattrs(found: Mapping[bytes, bytes], shown: bytes) -> Xattrs:
    """Those attributes that a volume keeps, in their order. LocalFileError if they are too
    large."""
    kept = tuple((name, value) for name, value in sorted(found.items()) if _is_kept(name))
    try:
        check_sizes(kept)
    except AttributeTooLargeError as error:
        raise LocalFileError(f"{show(shown)}: {error}") from error
    return kept


def _is_kept(name: bytes) -> bool:
    try:
        check_name(name)
    except VolfsError:
        return False
    return True
