"""The end of a mount of any kind that a client or a signal asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast, get_args

import msgspec
import trio

from volfs.control.protocol import Request, RequestTimes, UnmountResult
from volfs.daemon.mount_options import AtEnd
from volfs.daemon.survivors import kill_survivors
from volfs.daemon.task_guard import surviving
from volfs.daemon.users import find_copies, find_others, find_reasons, tell
from volfs.daemon.whereabouts import Whereabouts
from volfs.errors import MountError, UserError, VolfsError
from volfs.errors.fault_points import reached
from volfs.fuse.mountable import Mountable
from volfs.fuse.mounting import stop_serving
from volfs.fuse.timing import list_timings
from volfs.model.activity import Timing
from volfs.model.names import show_path
from volfs.model.text import show

COPIES = 0.2
"""Seconds for the mount to end after an unmount. If it does not, another mount namespace has a
copy of it."""
LAST_USERS = 2.0


class Unmounting(ABC):
    """The end of one mount. ``at_end`` says what becomes of its changes."""

    def __init__(self, operations: Mountable, place: Whereabouts, at_end: AtEnd = "commit") -> None:
        self.operations = operations
        self.place = place
        self.at_end = at_end
        self.left = ""
        """The name of the overlay that stays, once ``finished``."""
        self._unmounting = trio.Lock()
        self.finished = trio.Event()
        self.last_error: VolfsError | None = None
        """Why the last commit failed, once ``finished``."""

    @property
    def device(self) -> tuple[int, int]:
        return self.place.device

    @property
    def mountpoint(self) -> str:
        """The present place of the mount."""
        return self.place.path

    @abstractmethod
    async def handle(self, request: Request) -> msgspec.Struct:
        """Answer a request. Raises what the caller is to get as an error."""

    @abstractmethod
    async def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Run a blocking call in a thread. It must not touch the mount's state."""

    @abstractmethod
    async def save(self, at_end: AtEnd) -> tuple[AtEnd, VolfsError | None]:
        """Save what is to be saved before the unmount. Returns how the mount ends now, and an
        error to report after it."""

    @abstractmethod
    async def save_at_signal(self) -> None:
        """Save as for an unmount, but with nobody to tell. Raises nothing."""

    # --- by request ------------------------------------------------------

    async def unmount(self, request: Request) -> UnmountResult:
        """Save, then unmount. MountError if somebody still uses the mount."""
        self._check_meant(request.number)
        async with self._unmounting:
            return await self._unmount(self._choose_end(request.at_end))

    def _choose_end(self, asked: str) -> AtEnd:
        if asked and asked not in get_args(AtEnd):
            raise UserError(f"at_end {asked!r}: use commit, keep or discard")
        return cast(AtEnd, asked) if asked else self.at_end

    async def _unmount(self, at_end: AtEnd) -> UnmountResult:
        if self.finished.is_set():  # Another request has done it meanwhile.
            return self._tell_end([])
        at_end, problem = await self.save(at_end)
        with self._ending_so(at_end):
            reached("end.unmounting")
            self._check_free(await self.run(find_others, self.place))
            if not await self.run(self.place.unmount):
                self._check_free(await self.run(find_reasons, self.place) or [self._name_open()])
        copies: list[str] = []
        with trio.move_on_after(COPIES) as patience:
            await self.finished.wait()
        if patience.cancelled_caught:
            copies = await self.run(find_copies, self.place)
            stop_serving()
        await self.finished.wait()
        if problem is not None:
            raise problem
        return self._tell_end(copies)

    def _tell_end(self, copies: list[str]) -> UnmountResult:
        if self.last_error is not None:
            raise self.last_error
        return UnmountResult(self.left, copies)

    def _check_meant(self, number: int) -> None:
        """MountError if the request is about another mount point than the one that was mounted."""
        if number not in (0, self.place.number):
            raise MountError(
                f"a bind mount or copy of the mount at {show(self.mountpoint)}, which goes on: "
                f"`umount` takes it away, `volfs umount {show(self.mountpoint)}` ends the mount"
            )

    def _check_free(self, users: list[str]) -> None:
        if users:
            raise MountError(f"{show(self.mountpoint)}: busy: {tell(users)}")

    def _name_open(self) -> str:
        """Describe what is open if no user is known: a loop device has it, or a process that we
        cannot look at."""
        paths = self.operations.list_open()
        return tell([f"path {show_path(path)} is open" for path in paths]) or "it is in use"

    @contextmanager
    def _ending_so(self, at_end: AtEnd) -> Iterator[None]:
        """End as ``at_end`` says, unless the block fails."""
        usual, self.at_end = self.at_end, at_end
        try:
            yield
        except BaseException:
            self.at_end = usual
            raise

    # --- without a request -----------------------------------------------

    async def leave(self) -> None:
        """End because of a signal: save, then unmount even if something is open."""
        await self.save_at_signal()
        with surviving("unmounting at the end"):
            if not await self.run(self.place.unmount):
                await self._detach()
        await trio.sleep(COPIES)
        stop_serving()

    async def let_go(self) -> None:
        """End because the process for which the mount was made has died."""
        with surviving("ending what the process left"):
            await self.run(kill_survivors, self.mountpoint, self.device)
        with surviving("unmounting at the end"):
            await self._detach()
        await trio.sleep(LAST_USERS)
        stop_serving()

    async def _detach(self) -> None:
        await self.run(lambda: self.place.unmount(lazy=True))

    # --- figures ---------------------------------------------------------

    def list_requests(self) -> dict[str, RequestTimes]:
        """For each operation, how often the kernel asked for it, and how long that took."""
        return {name: to_times(it) for name, it in list_timings(self.operations).items()}


def to_times(timing: Timing) -> RequestTimes:
    """The times of a request, without the zeros at the end of the histogram."""
    histogram = list(timing.histogram)
    while histogram and not histogram[-1]:
        histogram.pop()
    return RequestTimes(timing.count, timing.errors, timing.total_ns // 1000, histogram)
