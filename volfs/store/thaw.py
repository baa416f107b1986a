"""Waiting for a frozen disk without making anybody else wait.

A thread that writes into a mapped file of a frozen disk sleeps in a page fault, and holds the lock
of its process's memory map meanwhile. Any other thread that then maps memory, as the start of a
thread does, sleeps too, and the interpreter with it. Therefore nothing is written into such a file
before ``wait_until_thawed`` has returned (docs/decisions/0024-a-watcher-ends-the-mount.md).
"""

from __future__ import annotations

import os


def wait_until_thawed(descriptor: int) -> None:
    """Return when the disk of a file takes writes. The file is open for writing; -1 returns at
    once.

    The call writes nothing: the kernel waits for the disk before it looks at the length of the
    write. It raises nothing: whoever writes next gets the error, and a reader need not.
    """
    if descriptor < 0:
        return
    try:
        os.write(descriptor, b"")
    except OSError:
        return
