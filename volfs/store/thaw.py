"""Waiting for a frozen disk, in the one way that keeps nobody else waiting.

Who writes into a mapped file of a frozen disk sleeps in a page fault, and holds the lock of
his process's memory map meanwhile. Any thread that then maps memory, as each start of a
thread does, sleeps too, and with it the interpreter. So nothing is written into such a
file before ``wait_until_thawed`` has returned
(docs/decisions/0024-a-watcher-ends-the-mount.md).
"""

from __future__ import annotations

import os


def wait_until_thawed(descriptor: int) -> None:
    """Return when the disk of a file that is open for writing takes writes; at once for -1.

    It writes nothing: the kernel waits for the disk before it looks how much there is to
    write. No error: who writes meets it, and who only reads need not.
    """
    if descriptor < 0:
        return
    try:
        os.write(descriptor, b"")
    except OSError:
        return
