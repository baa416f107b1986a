"""A process that has all of volfs loaded, and forks one that runs a program for each request.

A program that is started by itself takes 0.3 to 0.5 s of a processor to load volfs; one that
is forked here takes milliseconds, and is a process of its own all the same, with its own
arguments, environment, directory, descriptors and exit status.

This module is the server's side; ``tests/harness/forked.py`` is the tests'.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import os
import pickle
import pkgutil
import select
import signal
import socket
import sys
import threading
import time
import traceback
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from volfs.system.children import may_fork
from volfs.system.proc import list_descriptors

FDS_MAX = 64
"""As many descriptors as a request may bring."""
PACKAGES = ("volfs", "volfs_cli")


class Request(NamedTuple):
    """A program in Python, and what its process has. ``fds``: the numbers that it sees."""

    code: str
    argv: list[str]
    environment: dict[str, str]
    cwd: str
    umask: int
    fds: list[int]


def main(line_fd: int) -> None:
    """Serve until nobody has the other end of the line any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for pytest
    load_all()
    assert may_fork(), "a fork of many threads has only one"
    gc.collect()
    gc.freeze()
    started = serve(socket.socket(fileno=line_fd))
    if started is not None:
        run(*started)


def load_all() -> None:
    """Every module, for commands import what they need when they are called."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)


def serve(line: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork for each request. In a child: its request, and the descriptors that came with it."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                poll.unregister(ready)
                tell_status(ready, *running.pop(ready))
                continue
            _, received, _, _ = socket.recv_fds(line, 1, FDS_MAX)
            if not received:
                return None
            told, body, *fds = received
            request = load_request(body)
            pid = os.fork()
            if pid == 0:
                return request, fds
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid, told
            poll.register(pidfd, select.POLLIN)
            os.write(told, b"%d\n" % pid)
            for descriptor in fds:
                os.close(descriptor)


def load_request(body: int) -> Request:
    with open(body, "rb") as file:
        file.seek(0)
        return pickle.load(file)  # type: ignore[no-any-return]


def tell_status(pidfd: int, pid: int, told: int) -> None:
    """That a child has ended, and how; who asked may have gone."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(pidfd)
    try:
        os.write(told, b"%d\n" % status)
    except BrokenPipeError:
        pass
    os.close(told)


# --- the child's side -------------------------------------------------------


def run(request: Request, received: list[int]) -> NoReturn:
    """Become the process that the request describes, run its program, and end."""
    status = 1
    try:
        settle(request, received)
        status = execute(request.code)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:  # noqa: BLE001 - said, as Python says it
        traceback.print_exc()
    finally:
        os._exit(status)


def settle(request: Request, received: list[int]) -> None:
    take_descriptors(request.fds, received)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.cwd)
    sys.argv = request.argv
    sys.stdin = open_stream(0, "r", "surrogateescape")
    sys.stdout = open_stream(1, "w", "surrogateescape")
    sys.stderr = open_stream(2, "w", "backslashreplace")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    from volfs.errors import fault_points

    fault_points.arm(os.environ.get(fault_points.VARIABLE, ""))  # as it is when it is loaded


def take_descriptors(numbers: list[int], received: list[int]) -> None:
    """Give each its number; close all others, which are the server's."""
    beyond = max(numbers) + 1
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, beyond) for descriptor in received]
    for number in {*list_descriptors()} - set(high):
        try:
            os.close(number)
        except OSError:
            pass  # that of the listing
    for number, descriptor in zip(numbers, high, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)


def open_stream(number: int, mode: str, errors: str) -> Any:
    binary = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - as long as the process
    lines = number == 2 or os.isatty(number)
    return io.TextIOWrapper(binary, "utf-8", errors, line_buffering=lines)


def execute(code: str) -> int:
    """The exit status of a program, as Python would have it."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        exec(compile(code, "<string>", "exec"), module.__dict__)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - said, as Python says it
        traceback.print_exc()
        return 1
    return 0
