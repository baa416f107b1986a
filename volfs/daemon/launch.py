"""Starting a mount: check what can be checked, leave the terminal, wait until the mount
answers."""

from __future__ import annotations

import logging
import os
import select
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import trio
from blake3 import blake3

from volfs.buckets.address import parse_bucket_address
from volfs.buckets.cache.cache_place import choose_cache_directory
from volfs.control.daemon_wait import DaemonWait
from volfs.control.mounts import resolve_mount_path
from volfs.control.protocol import Failure, to_exception, to_failure
from volfs.control.runtime import NAMED, make_runtime_directory, runtime_directory
from volfs.daemon.dead_mounts import check_mount_place, find_dead_mount
from volfs.daemon.ending import Ending
from volfs.daemon.logs import LOG_LEVEL, choose_slow_limit, end_log, start_log
from volfs.daemon.main import run
from volfs.daemon.memory import tune_memory
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.service_manager import tell_manager
from volfs.daemon.surroundings import (
    check_limits,
    open_standard_files,
    settle_in,
    starting,
    to_mount_error,
)
from volfs.errors import MountError, NoAnswerError, VolfsError
from volfs.fuse.mounting import check_fuse
from volfs.fuse.request_guard import log_requests, log_slow_requests
from volfs.model.names import check_environment, check_volume_name
from volfs.model.text_json import decode_json, encode_json
from volfs.store.address import find_local_path, parse_address
from volfs.store.location import state_directory
from volfs.system.proc import list_descriptors

log = logging.getLogger(__name__)

FOLDER_MAX = 64
"""The longest folder of a bucket that is part of a log's name."""


class Starting(NamedTuple):
    """A daemon that was forked, and has not reported yet that its mount answers."""

    mountpoint: str
    pid: int
    pipe: int


def mount(options: MountOptions, timeout: float | None = None) -> None:
    """Mount a volume, and return when the mount answers, with its daemon in the background.

    With ``foreground``, return when the mount has ended. Raises what kept it from mounting. The
    calling process must have one thread and no store open.
    """
    open_standard_files()
    options = check_options(options)
    if options.foreground:
        _run_daemon(options, tell_manager)
        return
    wait_for_mount(start_daemon(options), timeout)


def start_daemon(options: MountOptions) -> Starting:
    """Fork the daemon of a mount. The options must have been checked."""
    with starting(f"{options.mountpoint}: cannot start a daemon"):
        reader, writer = os.pipe()
        try:
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                _become_daemon(options, writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
    return Starting(options.mountpoint, pid, reader)


def wait_for_mount(starting: Starting, timeout: float | None = None) -> None:
    """Return when the mount answers. Raises the error that its daemon died of.

    If this caller stops waiting, no mount appears later: the daemon is told to end.
    """
    waiting = DaemonWait(starting.mountpoint, timeout, pid=starting.pid, then="; not mounted")
    with open(starting.pipe, "rb") as pipe:
        try:
            waiting.for_descriptor(starting.pipe, select.POLLIN)
            answer = pipe.read()
        except (NoAnswerError, KeyboardInterrupt):
            os.kill(starting.pid, signal.SIGTERM)
            raise
    if answer != b"ready":
        raise to_exception(_decode_failure(answer))


def check_options(options: MountOptions) -> MountOptions:
    """Check options, and make their paths absolute. UserError, MountError for what cannot work."""
    if options.bucket is not None:
        parse_bucket_address(options.bucket.address)
    else:
        check_volume_name(options.volume)
        check_environment(options.environment)
    mountpoint = resolve_mount_path(options.mountpoint)
    if find_dead_mount(mountpoint) is None:
        check_mount_place(mountpoint, nonempty=options.nonempty)
    check_fuse()
    check_limits()
    make_runtime_directory()
    if options.bucket is not None:
        return replace(options, mountpoint=mountpoint)
    return replace(options, mountpoint=mountpoint, store=_check_store(options, mountpoint))


def _check_store(options: MountOptions, mountpoint: str) -> str:
    """The absolute address of the store. MountError if the mount lies in what its daemon needs, or
    contains it: the store, or for a bucket what this machine has of it."""
    address = parse_address(options.store)
    if address.local_path is not None:
        # The address is not resolved, because what it leads to is compared with what was opened.
        _check_apart(mountpoint, "store", address.local_path)
        return address.text
    for directory in (state_directory(), choose_cache_directory()):
        if directory is not None:
            _check_apart(mountpoint, "directory", directory)
    return address.text


def _check_apart(mountpoint: str, what: str, needed: Path) -> None:
    """MountError if a directory that the daemon needs lies below the mount, where the daemon would
    wait for itself, or the mount in the directory."""
    place = os.path.realpath(needed)
    if os.path.commonpath((mountpoint, place)) in (mountpoint, place):
        raise MountError(f"{mountpoint}: the {what} {place} and the mount lie in each other")


# --- the daemon's side ------------------------------------------------------


def _become_daemon(options: MountOptions, pipe: int) -> None:
    """In the child: run the mount, report to the parent through the pipe, never return."""
    status = 1

    def tell(answer: bytes) -> None:
        os.write(pipe, answer)
        os.close(pipe)

    told = False

    def ready() -> None:
        nonlocal told
        told = True
        tell(b"ready")

    try:
        os.setsid()
        # The process that started us looks for the directory there.
        os.environ[NAMED] = str(runtime_directory())
        os.chdir("/")
        _let_go_of_files({pipe, options.while_fd, options.sign_fd})
        _run_daemon(options, ready)
        status = 0
    except BaseException as error:
        if isinstance(error, BrokenPipeError):
            log.warning("whoever started it has gone before it answered: it has ended")
        elif told:
            log.critical("the daemon failed", exc_info=error)
        else:
            tell(encode_json(to_failure(to_mount_error(_unwrap(error)))))
    finally:
        end_log()
        os._exit(status)


def choose_log(options: MountOptions) -> Path:
    """The log file: in the store's directory, or in the runtime directory if that cannot be
    written.

    Buckets have no directory, so their logs are beside the user's notes.
    """
    if options.bucket is not None:
        return _place_log_of_bucket(options.bucket.address, "")
    name = options.full_name.replace("/", "@")  # No volume's name contains an "@".
    store = find_local_path(options.store)
    if store is None:
        return _place_log_of_bucket(options.store, f"@{name}")
    logs = store / "logs"
    there = logs if logs.exists() else logs.parent
    is_writable = os.access(there, os.W_OK, effective_ids=True)
    return (logs if is_writable else runtime_directory() / "logs") / f"{name}.log"


def _place_log_of_bucket(url: str, ending: str) -> Path:
    address = parse_bucket_address(url)
    folder = quote(address.prefix.rstrip("/"), safe="") if ending else ""
    if len(folder) > FOLDER_MAX:
        folder = blake3(folder.encode()).hexdigest(length=16)
    name = "-".join(filter(None, (address.scheme, address.account, address.bucket, folder)))
    return (state_directory() or runtime_directory()) / "logs" / f"{name}{ending}.log"


def _run_daemon(options: MountOptions, ready: Callable[[], None]) -> None:
    settle_in()
    ending = Ending()
    tune_memory()
    ending.watch()
    # Trio warns if signals were taken before it. ``Ending.begin`` takes them back.
    warnings.filterwarnings("ignore", "It looks like Trio's signal handling code", RuntimeWarning)
    default = choose_log(options)
    level = options.log_level or os.environ.get(LOG_LEVEL) or "info"
    start_log(options.log, level, default, foreground=options.foreground)
    log_requests()
    limit = choose_slow_limit(options.slow_log)
    if limit is not None:
        log_slow_requests(limit)
    try:
        trio.run(run, options, ending, ready)
    except BaseExceptionGroup as group:
        raise _unwrap(group) from group


def _let_go_of_files(kept: set[int | None]) -> None:
    """Replace every descriptor except ``kept`` by /dev/null, inherited ones, too.

    Otherwise a lock or pipe of the process that started us would be held as long as the mount
    lives. The numbers stay taken, so that an object that closes its own descriptor later does not
    close another's.
    """
    null = os.open(os.devnull, os.O_RDWR)
    inherited = set(list_descriptors()) - {0, 1, 2, null, *kept}
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in inherited:
        os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _unwrap(error: BaseException) -> BaseException:
    """The one error of volfs that a group of tasks died of, else its first error."""
    if isinstance(error, BaseExceptionGroup):
        found = [_unwrap(inner) for inner in error.exceptions]
        return next((e for e in found if isinstance(e, VolfsError)), found[0])
    return error


def _decode_failure(answer: bytes) -> Failure:
    try:
        return decode_json(answer, Failure)
    except ValueError:
        return Failure(MountError.code, "the daemon died before the mount answered")
