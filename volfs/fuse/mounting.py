"""Mounting and unmounting, and what a daemon asks of the kernel about its mount."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyfuse3

from volfs.errors import MountError
from volfs.fuse import polling
from volfs.fuse.device import (
    DEVICE,
    MountRequest,
    find_fusermount,
    mount_by_call,
    mount_by_program,
)
from volfs.fuse.mount_anchor import MountAnchor
from volfs.fuse.mountable import Mountable
from volfs.fuse.negotiation import Negotiation, read_wanted, show_features
from volfs.fuse.notices import forget
from volfs.system import libc
from volfs.vfs.checkout_plan import Attached
from volfs.vfs.kernel import Kernel

log = logging.getLogger(__name__)

_agreeing: list[Negotiation] = []
"""The INIT of the session. pyfuse3 has one session in a process."""
_begun: list[MountRequest] = []
"""The request of the session, until it is closed."""


def check_fuse() -> None:
    """MountError if this machine or user cannot mount. The message says what is missing."""
    if not DEVICE.exists():
        raise MountError(
            f"{DEVICE} is missing: load the kernel module (modprobe fuse), or "
            "start the container with --device /dev/fuse"
        )
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise MountError(f"{DEVICE}: permission denied")
    if os.geteuid() != 0:
        find_fusermount()
    read_wanted()


def mount(operations: Mountable, request: MountRequest) -> None:
    """Mount. ``pyfuse3.main`` then serves. MountError."""
    wanted = read_wanted()
    device = mount_by_call(request)
    if device is None and wanted:
        device = mount_by_program(request)
    try:
        if device is not None and wanted:
            _agreeing.append(Negotiation(device, wanted))
            device = _agreeing[0].descriptor
        _begin_session(operations, request, device)
        polling.install(device, lambda: _has_agreed(operations), operations.is_busy)
    except BaseException as error:
        _stop_agreeing()
        if device is not None:
            unmount(request.mountpoint, lazy=True)
        if isinstance(error, OSError):
            raise MountError(f"{request.mountpoint}: cannot mount: {error.strerror}") from error
        raise


def _begin_session(operations: Mountable, request: MountRequest, device: int | None) -> None:
    """Begin libfuse's session on the open device. Without one, libfuse mounts itself, or says why
    nobody can."""
    place = request.mountpoint if device is None else f"/dev/fd/{device}"
    try:
        with _native_errors() as said:
            pyfuse3.init(operations, place, set(request.list_options()))
    except RuntimeError as error:
        raise MountError(f"{request.mountpoint}: cannot mount: {said() or error}") from error
    _begun.append(request)


def _has_agreed(operations: Mountable) -> bool:
    """Whether INIT is done. Asked before each wait for a request, until it is True."""
    if _agreeing:
        if not _agreeing[0].is_answered():
            return False
        operations.granted = _agreeing[0].finish()
        _agreeing.clear()
    log.info("asked of the kernel: %s", show_features(operations.granted))
    return True


def _stop_agreeing() -> None:
    while _agreeing:
        _agreeing.pop().close()


async def serve(requests: int = 99) -> None:
    """Serve the kernel's requests until the mount is gone, at most ``requests`` at a time."""
    try:
        await pyfuse3.main(max_tasks=requests)
    except Exception:
        # Otherwise a caller that waits for an answer, even in this process, would wait for ever.
        close()
        raise


def stop_serving() -> None:
    """Let ``serve`` return although the mount is still in use somewhere."""
    pyfuse3.terminate()


def close() -> None:
    """Close the session. It is unmounted or detached by then, so its path may be another
    mount's."""
    _stop_agreeing()
    if _begun:
        _begun.clear()
        pyfuse3.close(unmount=False)


def unmount(mountpoint: str, *, lazy: bool = False) -> bool:
    """Ask the kernel to unmount. Whether it did. MountError if nobody here may ask it.

    The system call comes first, if we may make it, because it needs no program, PATH or
    descriptor.
    """
    try:
        libc.unmount(mountpoint, libc.NO_FOLLOW | (libc.DETACH if lazy else 0))
    except OSError as error:
        if error.errno != errno.EPERM:
            return False
    else:
        return True
    command = [find_fusermount(), "-u", *(["-z"] if lazy else []), "--", mountpoint]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise MountError(f"{mountpoint}: {command[0]}: {error.strerror}") from error
    return done.returncode == 0


def make_kernel(anchor: MountAnchor, find_attached: Callable[[], list[Attached]]) -> Kernel:
    return Kernel(anchor.drain, anchor.write_back, find_attached, forget, anchor.find_shown)


def raise_read_ahead(device: tuple[int, int], kib: int) -> None:
    """Let the kernel read ahead in large requests, if we may set that."""
    path = Path(f"/sys/class/bdi/{device[0]}:{device[1]}/read_ahead_kb")
    try:
        path.write_text(str(kib))
    except OSError as error:
        log.info("read-ahead stays as it is: %s", error)


@contextlib.contextmanager
def _native_errors() -> Iterator[Callable[[], str]]:
    """Collect what libfuse prints on standard error, for the message."""
    saved = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    text: list[str] = []

    def said() -> str:
        return " ".join(text)

    try:
        yield said
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.set_blocking(reader, False)
        with contextlib.suppress(OSError):
            text.append(os.read(reader, 4096).decode(errors="replace").strip())
        os.close(reader)
