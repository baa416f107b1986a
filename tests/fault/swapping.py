"""A program that swaps, thousands of times, what is in a directory for a link, a fifo or a device.

``python swapping.py DIRECTORY OUTSIDE``: every ``swap-*`` in DIRECTORY is a directory or a
file at one moment and something else at the next, which lies beside DIRECTORY meanwhile. It
runs until it is killed.
"""

from __future__ import annotations

import ctypes
import os
import sys

OWNER = 12345
"""Of the links, where root may give them away."""
_EXCHANGE = 2
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(a: bytes, b: bytes) -> None:
    """Both names swap what they stand for, at once."""
    _libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE)


def main() -> None:
    top, outside = (os.fsencode(argument) for argument in sys.argv[1:])
    pairs = []
    beside = b"%s.%d" % (top, os.getpid())
    os.mkdir(beside)
    for name in sorted(os.listdir(top)):
        if not name.startswith(b"swap-"):
            continue
        path, other = os.path.join(top, name), os.path.join(beside, name)
        if name.endswith(b"-fifo"):
            os.mkfifo(other)
        else:
            os.symlink(os.path.join(outside, name), other)
            if os.geteuid() == 0:
                os.chown(other, OWNER, OWNER, follow_symlinks=False)
        pairs.append((path, other))
    print("ready", flush=True)
    while True:
        for path, other in pairs:
            exchange(path, other)


if __name__ == "__main__":
    main()
