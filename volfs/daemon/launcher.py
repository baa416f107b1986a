"""A process that starts the daemons of mounts on request, until its owner has ended or hung up.

Its arguments are two descriptors: a socket, and the pidfd of its owner, the process for which it
mounts. Each message on the socket is a request for mounts, with three descriptors. If the message
is ``outliving``, these mounts do not end with the owner. The first descriptor is a pipe: when all
these mounts answer or have failed, it gets a list with null or a ``Failure`` for each. The second
is the memory with the signs of these mounts. The third is memory with a JSON list of
``MountOptions``, which may have credentials and any length. Modules are loaded once for all mounts,
by a process that has one thread and no store open.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from volfs.control.protocol import Failure, to_failure
from volfs.daemon.launch import Starting, check_options, start_daemon, wait_for_mount
from volfs.daemon.mount_options import MountOptions
from volfs.model.text_json import decode_json, encode_json

MESSAGE_MAX, DESCRIPTORS = 64, 3
OUTLIVING = b"outliving"
Started = Starting | Failure


def main() -> None:
    line, owner = map(int, sys.argv[1:])
    gc.freeze()
    with socket.socket(fileno=line) as requests:
        while owner not in select.select([line, owner], [], [])[0]:
            message, given, _, _ = socket.recv_fds(requests, MESSAGE_MAX, DESCRIPTORS)
            if not message:
                break
            try:
                _begin(requests, given, None if message == OUTLIVING else owner)
            except Exception:  # noqa: BLE001 - other requests must still be served
                traceback.print_exc()
            for descriptor in given:
                os.close(descriptor)
            _forget_the_dead()


def _begin(requests: socket.socket, given: list[int], owner: int | None) -> None:
    pipe, signs, memory = given
    if os.fork() == 0:
        requests.close()
        _answer(memory, pipe, owner, signs)


def _forget_the_dead() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(memory: int, pipe: int, owner: int | None, signs: int) -> NoReturn:
    """Start the mounts of one request and report. In a process of its own, so that a mount that
    hangs keeps no other one waiting."""
    try:
        with open(memory, "rb") as file:
            file.seek(0)
            requests = decode_json(file.read(), list[MountOptions])
        started = [_start(replace(one, while_fd=owner, sign_fd=signs)) for one in requests]
        with os.fdopen(pipe, "wb") as file:
            file.write(encode_json([_wait(one) for one in started]))
    except BaseException:  # noqa: BLE001 - whoever waits for the answer finds it on standard error
        traceback.print_exc()
    finally:
        os._exit(0)


def _start(options: MountOptions) -> Started:
    try:
        return start_daemon(check_options(options))
    except Exception as error:  # noqa: BLE001 - the other mounts must still be made
        return to_failure(error)


def _wait(started: Started) -> Failure | None:
    if isinstance(started, Failure):
        return started
    try:
        wait_for_mount(started)
    except Exception as error:  # noqa: BLE001 - as above
        return to_failure(error)
    return None
