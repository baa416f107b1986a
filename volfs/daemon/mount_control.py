"""The requests to a running mount: status, commit, reload, renew, unmount."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import msgspec
import trio

from volfs.control.protocol import (
    ActivityCounts,
    ChangesResult,
    CommitResult,
    MountStatus,
    ReloadResult,
    RenewResult,
    Request,
    UncommittedChange,
)
from volfs.daemon.busy import describe_holders, find_holders
from volfs.daemon.logs import count_logged
from volfs.daemon.mount_options import AtEnd
from volfs.daemon.task_guard import surviving
from volfs.daemon.unmounting import Unmounting, to_times
from volfs.daemon.whereabouts import Whereabouts
from volfs.errors import (
    DataError,
    MountError,
    StoreError,
    StoreReplacedError,
    StoreTimeoutError,
    StoreUnavailableError,
    UserError,
    VolfsError,
    VolumeBusyError,
)
from volfs.fuse.ops import Operations
from volfs.model.changes import Change
from volfs.model.manifest import MESSAGE_MAX
from volfs.model.names import join_path, show_path
from volfs.model.text import cut_stored, to_text
from volfs.store.contract.refs import VolumeRecord
from volfs.vfs.committer import BUSY, Committer
from volfs.volume.commit import CommitNote, OnConflict, Published

log = logging.getLogger(__name__)

T = TypeVar("T")

STORE_ANSWERS = 2.0
"""Seconds for the store to answer its part of a status."""


class MountControl(Unmounting):
    """The answers of one volume's mount."""

    operations: Operations

    def __init__(
        self,
        committer: Committer,
        operations: Operations,
        place: Whereabouts,
        *,
        auto_commit: float | None,
        at_end: AtEnd,
        pinned: bool,
        session: str,
        find_overlay: Callable[[], Path | None],
        message: str = "",
    ) -> None:
        """``session`` is its id as ``identify_session`` makes it.

        ``find_overlay`` finds the overlay's directory as it is now, None if it was deleted.
        """
        super().__init__(operations, place, at_end)
        self.operations = operations
        self.committer = committer
        self.auto_commit = auto_commit
        self.pinned = pinned
        """Whether the mount shows one requested version and no other."""
        self.follows = committer.state.follows
        """Whether the mount shows the newest version by itself, even while files are open."""
        self._asking = trio.CapacityLimiter(2)
        """Threads of their own, so that a disk that hangs takes no others."""
        self.session = session
        self.find_overlay = find_overlay
        self.message = cut_stored(message, MESSAGE_MAX)
        """What works in the mount, for the log; empty if nobody said."""

    async def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        return await self.committer.bridge.run(call, *arguments)

    async def handle(self, request: Request) -> msgspec.Struct:
        """Answer a request. Raises what the caller is to get as an error."""
        match request.verb:
            case "status":
                return await self.status(request.wait or STORE_ANSWERS)
            case "changes":
                return await self._list_changes()
            case "commit":
                return await self._commit(request)
            case "reload":
                return await self.reload(request.wait, touch=request.touch)
            case "renew":
                await self.committer.renew_lease()
                return RenewResult()
            case "unmount":
                return await self.unmount(request)
        raise MountError(f"unknown request {request.verb!r}")

    async def status(self, patience: float = STORE_ANSWERS) -> MountStatus:
        """The mount as it is. Each of three questions to the store has ``patience`` seconds."""
        state, volume = self.committer.state, self.committer.volume
        named = await self._find_named(patience)
        return MountStatus(
            volume=named.name,
            mountpoint=self.mountpoint,
            version=state.view.head.version,
            pid=os.getpid(),
            dirty_files=state.overlay.dirty_files,
            dirty_bytes=state.overlay.dirty_bytes,
            open_files=state.open_files,
            read_only=state.read_only,
            auto_commit=self.auto_commit,
            store=self.committer.store.url,
            volume_id=volume.id,
            head=await self._newest(patience),
            store_replaced=await self._is_store_replaced(patience),
            session=self.session,
            requests=self.list_requests(),
            environment=named.environment,
            lease_lost=self.committer.keeper.lost,
            unreachable_since_ns=self.committer.store.unreachable_since_ns,
            activity=self._count_activity(),
            logged=count_logged(),
        )

    def _count_activity(self) -> ActivityCounts:
        done = self.committer.activity
        return ActivityCounts(
            to_times(done.commits),
            to_times(done.reloads),
            done.committed_bytes,
            done.last_commit_ns,
            done.reads_ready,
            done.reads_waited,
            done.read_bytes,
            done.written_bytes,
            self.committer.bridge.fetches,
        )

    async def _find_named(self, patience: float) -> VolumeRecord:
        """The volume's record, which may have been renamed; the former one if the store does not
        answer."""
        volume = self.committer.volume
        find = self.committer.store.refs.find_volume_by_id
        found = await self._ask_store(find, volume.id, patience)
        return found or volume

    async def _newest(self, patience: float) -> int | None:
        get_head = self.committer.store.refs.get_head
        head = await self._ask_store(get_head, self.committer.volume.id, patience)
        return head.version if head else None

    async def _ask_store(
        self, question: Callable[[str], T], about: str, patience: float
    ) -> T | None:
        """The store's answer; None if there is none. If its disk hangs, the thread is left
        behind."""
        with trio.move_on_after(patience):
            try:
                return await trio.to_thread.run_sync(
                    question, about, limiter=self._asking, abandon_on_cancel=True
                )
            except (StoreError, DataError):
                return None
        return None

    async def _is_store_replaced(self, patience: float) -> bool:
        def is_replaced(_: str) -> bool:
            try:
                self.committer.store.care.prove()
            except StoreReplacedError:
                return True
            return False

        return bool(await self._ask_store(is_replaced, self.committer.volume.id, patience))

    async def _list_changes(self) -> ChangesResult:
        version, changes = await self.committer.list_uncommitted()
        return ChangesResult(version, list(map(_to_uncommitted, changes)))

    # --- commit ----------------------------------------------------------

    async def _commit(self, request: Request) -> CommitResult:
        if request.auto:
            return await self.commit_changes()
        if request.on_conflict not in get_args(OnConflict):
            raise UserError(f"on_conflict {request.on_conflict!r}: use override or fail")
        note = CommitNote(request.message, on_conflict=cast(OnConflict, request.on_conflict))
        return to_result(await self.commit(note))

    async def commit_changes(self) -> CommitResult:
        """Publish changes, if there are any. Nobody has asked for this commit by name."""
        state = self.committer.state
        if state.overlay.is_clean:
            await self.committer.write_back()
        if state.overlay.is_clean:
            result = CommitResult(False, state.view.head.version, 0, 0, [])
        else:
            result = to_result(await self.commit(CommitNote(self.message, auto=True)))
        state.settle_sign()
        return result

    async def commit(self, note: CommitNote) -> Published:
        started = trio.current_time()
        try:
            published = await self.committer.commit(note)
        except StoreReplacedError as error:
            raise StoreReplacedError(f"{error}; {self._say_kept()}") from error
        if published.changed:
            log.info(
                "committed version %d: %d new objects, %d bytes, %.0f ms",
                published.head.version,
                published.new_objects,
                published.new_bytes,
                1000 * (trio.current_time() - started),
            )
        for item in published.overridden:
            log.warning(
                "version %d: %s: ours (%s) overrides theirs (%s)",
                published.head.version,
                show_path(item.path),
                item.ours,
                item.theirs,
            )
        return published

    def _say_kept(self) -> str:
        place = self.find_overlay()
        if place is None:
            return (
                "the overlay was deleted, too, and ends with the mount: copy what you need out of "
                f"{self.mountpoint}, then `volfs umount --discard`"
            )
        return f"the overlay is kept in {place}"

    # --- reload ----------------------------------------------------------

    async def reload(self, wait: float, *, touch: bool = False) -> ReloadResult:
        """Show the newest version. VolumeBusyError that names open files and their processes.

        MountError if the mount is pinned, or if there is nothing to ``touch``.
        """
        if self.pinned:
            version = self.committer.state.view.head.version
            raise MountError(f"{self.mountpoint}: pinned at version {version}")
        if touch and (self.follows or self.committer.state.read_only):
            what = "a network file system, which is never reloaded" if self.follows else "read-only"
            raise MountError(f"{self.mountpoint}: nothing to touch: the mount is {what}")
        if self.follows:
            return await self._follow()
        try:
            before, head, touched = await self.committer.reload(wait, touch=touch)
        except VolumeBusyError as error:
            if str(error) != BUSY:
                raise
            raise VolumeBusyError(f"{error}: {await self._name_holders()}") from None
        log.info("reloaded from version %d to %d", before.version, head.version)
        return ReloadResult(head.version, before.version, touched if touch else None)

    async def _follow(self) -> ReloadResult:
        before = self.committer.state.view.head
        await self.committer.follow()
        return ReloadResult(self.committer.state.view.head.version, before.version)

    async def _name_holders(self) -> str:
        bridge = self.committer.bridge
        holders = await bridge.run(find_holders, self.device)
        return describe_holders(holders, [show_path(p) for p in self.operations.files.open_paths()])

    # --- the end ---------------------------------------------------------

    async def save(self, at_end: AtEnd) -> tuple[AtEnd, VolfsError | None]:
        if at_end == "commit":
            try:
                await self._commit_rest()
            except StoreReplacedError as error:
                if self.find_overlay() is None:
                    raise
                # The overlay can be committed nowhere from here, but another mount can take it
                # over.
                return "keep", StoreReplacedError(f"{error}; unmounted without a commit")
            except (StoreUnavailableError, StoreTimeoutError) as error:
                if self.committer.store.unreachable_since_ns is None:
                    raise
                return "keep", type(error)(
                    f"{error}; unmounted without a commit; {self._say_kept()}: `volfs overlays` "
                    "lists it, and a mount at the same place takes it over"
                )
        return at_end, None

    async def _commit_rest(self) -> None:
        """Commit what is left. If nothing is left, a damaged or lost store is no obstacle."""
        committer = self.committer
        if not committer.state.read_only:
            await committer.write_back()
            if not committer.state.overlay.is_clean:
                await self.commit(self.last_note)

    @property
    def last_note(self) -> CommitNote:
        """What the commit at the end says of itself."""
        return CommitNote(self.message or "unmount")

    async def save_at_signal(self) -> None:
        with surviving("recording the overlay at the end"):
            await self.committer.flusher.flush()  # The commit may hang.
        with surviving("commit at the end"):
            if self.at_end == "commit":
                await self._commit_rest()


def _to_uncommitted(change: Change) -> UncommittedChange:
    return UncommittedChange(
        change.kind.value,
        to_text(join_path(change.path)),
        change.entry.kind,
        change.old_size,
        change.new_size,
        change.attributes,
    )


def to_result(published: Published) -> CommitResult:
    overridden = [
        {"path": to_text(join_path(item.path)), "theirs": item.theirs, "ours": item.ours}
        for item in published.overridden
    ]
    return CommitResult(
        published.changed,
        published.head.version,
        published.new_objects,
        published.new_bytes,
        overridden,
    )
