"""A process that starts the daemons of several mounts, at once, and ends.

    python -P -m volfs.daemon.launcher < OPTIONS

On the standard input a JSON list of ``MountOptions``; on the output, when all
mounts answer or have failed, a list with null or a ``Failure`` for each. Modules
are loaded once for all, by a process that has one thread and no store open.
"""

from __future__ import annotations

import sys

import msgspec

from volfs.control.protocol import Failure, to_failure
from volfs.daemon.launch import check_options, start_daemon, wait_for_mount
from volfs.daemon.options import MountOptions
from volfs.errors import VolfsError

Started = int | Failure


def main() -> None:
    requests = msgspec.json.decode(sys.stdin.buffer.read(), type=list[MountOptions])
    started = [_start(options) for options in requests]
    sys.stdout.buffer.write(msgspec.json.encode([_wait(one) for one in started]))


def _start(options: MountOptions) -> Started:
    try:
        return start_daemon(check_options(options))
    except (VolfsError, OSError) as error:
        return to_failure(error)


def _wait(started: Started) -> Failure | None:
    if isinstance(started, Failure):
        return started
    try:
        wait_for_mount(started)
    except VolfsError as error:
        return to_failure(error)
    return None


if __name__ == "__main__":
    main()
