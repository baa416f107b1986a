"""Serving one mount of any kind: mount, answer, leave when asked, close."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress

import trio

from volfs.control.mounts import make_runtime_directory, socket_path
from volfs.control.sockets import Bound
from volfs.daemon.dead_mounts import make_way
from volfs.daemon.ending import Ending
from volfs.daemon.mount_options import MountOptions
from volfs.daemon.server import make_listener, serve
from volfs.daemon.task_guard import surviving
from volfs.daemon.unmounting import Unmounting
from volfs.daemon.whereabouts import Whereabouts, wait_until_nowhere
from volfs.errors import MountError
from volfs.fuse.device import MountRequest
from volfs.fuse.mountable import Mountable
from volfs.fuse.mounting import close, mount, raise_read_ahead, unmount
from volfs.fuse.mounting import serve as serve_fuse

log = logging.getLogger(__name__)

REQUESTS = 99
"""The most requests at a time."""


class Served(ABC):
    """The parts of one mount, built and ready to be served."""

    def __init__(self, options: MountOptions, operations: Mountable, service: Unmounting) -> None:
        self.options = options
        self.operations = operations
        self.service = service
        self.requests = REQUESTS

    @property
    @abstractmethod
    def source(self) -> str:
        """The source that the mount table shows."""

    @property
    @abstractmethod
    def is_read_only(self) -> bool: ...

    @abstractmethod
    def drop_new(self) -> None:
        """Remove everything that was made for this mount, because it has failed before it
        began."""

    @abstractmethod
    def note_device(self, device: tuple[int, int]) -> None:
        """Note the device number under which the kernel has mounted it."""

    @abstractmethod
    def start_background(self, nursery: trio.Nursery) -> None:
        """Start the tasks that do more than answer the kernel."""

    @abstractmethod
    async def finish(self) -> None:
        """Save what is left, and log what stays, because the mount is gone. Raises nothing."""


async def serve_mount(
    served: Served, stack: AsyncExitStack, ending: Ending, ready: Callable[[], None]
) -> None:
    """Mount, call ``ready`` when the mount answers, and serve until the mount is gone."""
    options = served.options
    request = MountRequest(
        options.mountpoint,
        served.source,
        served.is_read_only,
        options.allow_other,
        options.no_exec,
    )
    with _unless_failed(served):
        make_way(options.mountpoint, nonempty=options.nonempty)
        mount(served.operations, request)
        _begin(served.service.place, request)
    ending.tell_mounted(served.service.place.number)
    stack.push(_make_exit(served.service))
    async with trio.open_nursery() as servers:
        try:
            await _serve(served, servers, ending, ready)
        finally:
            with trio.CancelScope(shield=True):
                await served.finish()
            served.service.finished.set()


@contextmanager
def _unless_failed(served: Served) -> Iterator[None]:
    try:
        yield
    except BaseException:
        served.drop_new()
        raise


def _make_exit(service: Unmounting) -> Callable[[object, object, object], None]:
    """Make the exit that closes the session. It also takes away a mount that this process failed
    to serve."""

    def leave(kind: object, error: object, trace: object) -> None:
        close()
        service.place.anchor.close()
        if kind is not None:
            with suppress(MountError):
                service.place.unmount(lazy=True)

    return leave


def _begin(place: Whereabouts, request: MountRequest) -> None:
    """Find what has just been mounted. MountError; then it is not mounted any more."""
    try:
        place.begin()
    except MountError:
        close()
        unmount(request.mountpoint, lazy=True)
        raise


async def _serve(
    served: Served, servers: trio.Nursery, ending: Ending, ready: Callable[[], None]
) -> None:
    """Serve the kernel until the mount is gone. The control server, in ``servers``, outlives
    it."""
    service = served.service
    with ExitStack() as gone:
        async with trio.open_nursery() as nursery:

            async def serve_kernel() -> None:
                await serve_fuse(served.requests)
                ending.tell_gone()
                nursery.cancel_scope.cancel()

            nursery.start_soon(serve_kernel)
            await trio.to_thread.run_sync(service.place.anchor.drain)  # The mount answers now.
            raise_read_ahead(service.device, served.operations.read_ahead_kib)
            make_runtime_directory()
            socket = Bound(socket_path(service.device))
            gone.callback(_remove_socket, socket)
            with surviving("noting the device: the mount is not found by its volume's name"):
                served.note_device(service.device)
            servers.start_soon(serve, make_listener(socket), service.handle, service.finished)
            nursery.start_soon(_leave_when_asked, service, ending)
            nursery.start_soon(_let_go_when_nowhere, service.place)
            if served.options.while_fd is not None:
                nursery.start_soon(_leave_when_readable, service, served.options.while_fd)
            served.start_background(nursery)
            ready()


def _remove_socket(socket: Bound) -> None:
    with surviving("removing the socket"):
        socket.remove()


async def _leave_when_asked(service: Unmounting, ending: Ending) -> None:
    """End as ``volfs umount`` does, but with no caller to tell what failed."""
    await ending.asked.wait()
    log.info("ending on a signal")
    with surviving("ending on a signal"):
        await service.leave()


async def _let_go_when_nowhere(place: Whereabouts) -> None:
    """Close the anchor once the mount is mounted nowhere, so that nothing of ours keeps it. Open
    files and containers may."""
    await wait_until_nowhere(place.device)
    await trio.to_thread.run_sync(place.anchor.close)


async def _leave_when_readable(service: Unmounting, descriptor: int) -> None:
    await trio.lowlevel.wait_readable(descriptor)
    log.info("ending, as the process has that this mount was for")
    with surviving("ending with its process"):
        await service.let_go()
