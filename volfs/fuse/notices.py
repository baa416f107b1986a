"""Telling the kernel what to forget. Blocking, and only in threads, because the kernel may wait
for our answers."""

from __future__ import annotations

import pyfuse3

from volfs.errors import MountError
from volfs.vfs.checkout_plan import KernelNotice


def forget(notices: list[KernelNotice]) -> None:
    """Give the kernel all notices, even if it refuses one. MountError if it refused any: it may
    show what was before."""
    refused: list[OSError] = []
    for notice in notices:
        try:
            if notice.name is None:
                pyfuse3.invalidate_inode(pyfuse3.InodeT(notice.ino), attr_only=not notice.content)
            else:
                pyfuse3.invalidate_entry(pyfuse3.InodeT(notice.ino), pyfuse3.FileNameT(notice.name))
        except FileNotFoundError:  # The kernel did not know the inode or name.
            continue
        except OSError as error:
            refused.append(error)
    if refused:
        why = f"the kernel was not told of {len(refused)} changes: {refused[0].strerror}"
        raise MountError(f"{why}; it may show what was before them")
