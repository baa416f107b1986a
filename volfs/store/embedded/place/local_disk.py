"""Whether a directory is on a disk of this machine alone, which the index needs.

LMDB locks its file by memory that the processes share. On a file system that several machines
share, each machine has a lock of its own, and two writers destroy the index.
"""

from __future__ import annotations

from pathlib import Path

from volfs.errors import StoreUnavailableError
from volfs.system.mountinfo import find_fs_type

SHARED = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs"),
    *("glusterfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "wekafs", "panfs", "quobyte"),
    *("moosefs", "fuse.mfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs", "fuse.s3fs"),
    *("fuse.rclone", "fuse.gcsfuse", "fuse.mount-s3", "fuse.goofys", "fuse.seaweedfs", "fuse.s3ql"),
}
"""Types of file systems as mountinfo names them. Others may be shared as well, and nothing
tells."""


def check_local(path: Path) -> None:
    """StoreUnavailableError if a path is on a shared file system. The path need not be there
    yet."""
    there = next(place for place in (path, *path.parents) if place.exists())
    fs_type = find_fs_type(there)
    if fs_type in SHARED:
        raise StoreUnavailableError(
            f"store {path} is on {fs_type}, which other machines may share: its index would be "
            "destroyed there; a store takes a disk of this machine"
        )
