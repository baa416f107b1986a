"""A mount's long operations: commit and reload. Requests go on while they run.

Order and locks: docs/concurrency.md. One commit or reload runs at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import NamedTuple

import trio

from volfs.errors import (
    DamagedObjectError,
    LeaseLostError,
    OutOfSpaceError,
    VolfsError,
    VolumeBusyError,
)
from volfs.errors.fault_points import reached
from volfs.model.activity import Activity
from volfs.model.changes import Change
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, show_path
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.aio import Bridge
from volfs.vfs.catalog import Catalog
from volfs.vfs.checkout_plan import Attached, KernelNotice
from volfs.vfs.counting import counting_errors
from volfs.vfs.flusher import Flusher
from volfs.vfs.kernel import Kernel
from volfs.vfs.lease_keeper import LeaseKeeper
from volfs.vfs.overlay import SealedGeneration
from volfs.vfs.showing import show_keeping_attached, show_version
from volfs.vfs.state import Mappable, MountState
from volfs.vfs.thread_work import commit_generation, load_head
from volfs.vfs.touching import list_arrived, touch_arrived
from volfs.vfs.uncommitted import list_uncommitted, take_uncommitted
from volfs.volume.commit import CommitNote, DeltaBase, Published
from volfs.volume.version_reader import Reader

log = logging.getLogger(__name__)

BUSY = "volume busy: there are open files preventing the operation"
DRAIN_ROUNDS = 3
RETRY_PAUSE = 0.05
TOUCHES = 64
"""Files that are touched before other tasks have their turn."""


Seal = Callable[[], SealedGeneration | None]
"""A function that closes a generation. It is synchronous, so that nobody writes between its look
and its seal."""


class Reloaded(NamedTuple):
    """The result of a reload: the head shown before, the head shown now, and how many files were
    touched."""

    before: Head
    head: Head
    touched: int


class Committer:
    """Commit and reload of one mount."""

    def __init__(
        self,
        state: MountState,
        bridge: Bridge,
        store: Store,
        volume: VolumeRecord,
        catalog: Catalog | None,
        kernel: Kernel,
        lease: Lease,
    ) -> None:
        self.state = state
        self.bridge = bridge
        self.store = store
        self.volume = volume
        self.flusher = Flusher(state, bridge, catalog)
        self.kernel = kernel
        self.keeper = LeaseKeeper(state, bridge, store, volume, lease)
        self.activity = Activity()
        self._lock = trio.Lock()
        self._last_arena = 0
        """The last arena of which everything has been committed, as of all arenas before it."""

    @property
    def lease(self) -> Lease:
        """What this mount needs."""
        return self.keeper.lease

    # --- commit ----------------------------------------------------------

    async def write_back(self) -> None:
        """Get what the kernel holds back of shared mappings. It holds back nothing of closed
        files.

        MountError, OutOfSpaceError, which names a file that the kernel could not hand over.
        """
        files = self.state.list_mappable()
        if files:
            await self.bridge.run(self.kernel.write_back, files)
        await self._tell_refused()

    async def _tell_refused(self) -> None:
        """OutOfSpaceError for pages of mappings that could not be kept, because only another fsync
        or msync was told of them."""
        for file, pages in self.state.refused.take().items():
            asked = Mappable(file.ino, b"/".join(file.path))
            if lost := await self.bridge.run(self.kernel.find_shown, asked, pages):
                raise OutOfSpaceError(
                    f"{show_path(file.path)}: {lost} pages that were written to it through a "
                    "mapping could not be kept; write them again"
                )

    async def commit(self, note: CommitNote) -> Published:
        """Publish everything written before the call. Returns when it is durable.

        On any error nothing is published and the overlay is as it was.
        """
        # This comes before the lock, because what it asks of the mount may have to follow the head
        # first.
        await self.write_back()
        async with self._lock:
            published = await self._publish(note, self.state.overlay.seal)
            assert published is not None
            await self._settle_down(self._last_arena, self.keeper.make())
            return published

    async def commit_only(self, note: CommitNote, seal: Seal) -> None:
        """Commit what ``seal`` seals, which may be nothing. The caller calls ``settle`` later.

        The kernel is not asked for what it holds back. The errors of ``commit``.
        """
        async with self._lock:
            await self._publish(note, seal)

    async def _publish(self, note: CommitNote, seal: Seal) -> Published | None:
        """Publish what ``seal`` seals, and count that. The errors of ``_publish_leased``."""
        began = perf_counter_ns()
        with counting_errors(self.activity.commits, began):
            published = await self._publish_leased(note, seal)
        if published is not None and published.changed:
            self.activity.commits.add(perf_counter_ns() - began)
            self.activity.committed_bytes += published.new_bytes
            self.activity.last_commit_ns = self.state.clock()
        return published

    async def _publish_leased(self, note: CommitNote, seal: Seal) -> Published | None:
        """Publish what ``seal`` seals. LeaseLostError if nothing keeps what it stands on."""
        await self.keeper.make_sure()
        try:
            return await self._commit_sealed(note, seal)
        except LeaseLostError as error:
            await self.keeper.regain(str(error))
        await self.keeper.make_sure()
        return await self._commit_sealed(note, seal)

    async def _commit_sealed(self, note: CommitNote, seal: Seal) -> Published | None:
        async with self.flusher.lock:  # No flush may be half way past the seal.
            sealed = seal()
            over = self.flusher.stamp
        if sealed is None:
            return None
        reached("commit.sealed")
        try:
            base = DeltaBase(self.state.view.snapshot, lease=self.lease, over=over)
            read = self.state.scratch.read_sound
            published = await self.bridge.run(
                commit_generation, self.store, self.volume, base, sealed, read, note
            )
        except BaseException as error:
            self.state.overlay.restore()
            if isinstance(error, DamagedObjectError) and sealed.writing is not None:
                path = show_path(sealed.writing.file.path)  # The file has to be written again.
                raise DamagedObjectError(f"{path}: {error}") from error
            raise
        reached("commit.published")
        self._last_arena = self._absorb(published)
        return published

    async def settle(self) -> None:
        """Record the overlay as it is, and drop what it does not need.

        An error is logged, and the next call tries again.
        """
        async with self._lock:
            await self._settle_down(self._last_arena, self.keeper.make())
            await self.keeper.leave()

    def _absorb(self, published: Published) -> int:
        """Let the view be the mount's own local tree from now on. Synchronous."""
        view, sealed = self.state.view, self.state.overlay.sealed
        assert sealed is not None
        assert published.lease is not None
        self.keeper.note_ride(published.lease)
        for directory, name, inode in sealed.bound:
            self.state.inodes.keep_number(inode, directory, name)
        last_arena = self.state.overlay.absorb(published.directories)
        for written in sealed.files:
            self.state.count_committed(written.file)
        view.snapshot = published.local
        for inode in sealed.inodes:
            self.state.drop_if_idle(inode)
        # A version with the very same content is not leased if there was nothing to publish.
        is_leased = published.lease.has(published.head.version)
        if published.snapshot == published.local and is_leased:
            view.head = published.head
        return last_arena

    async def _settle_down(self, last_arena: int, lease: Lease) -> None:
        """Record the new view, then drop the scratch and the needs of the view before it.

        If recording fails nothing is lost: the records still lie on the former view, which keeps
        all that they need, and publishing them again changes nothing.
        """
        kept = self.state.overlay.find_arenas()
        try:
            await self.flusher.flush(committed=min([last_arena, *(arena - 1 for arena in kept)]))
        except VolfsError as error:
            log.warning("after a commit: %s", error)
        else:
            reached("settle.recorded")
            if dropped := self.state.scratch.drop_arenas(last_arena, kept):
                await self.bridge.run(self.state.scratch.delete, dropped)
            reached("settle.dropped")
            self.keeper.lease = lease

    # --- looking ---------------------------------------------------------

    async def list_uncommitted(self) -> tuple[int, list[Change]]:
        """The version that the mount shows, and its changes that are not committed. StoreError;
        DataError."""
        if not self.state.read_only:
            await self.write_back()
        async with self._lock:
            found = take_uncommitted(self.state)
            load = self.store.objects_of(self.volume.id).load_object
            return found.version, await self.bridge.run(list_uncommitted, load, found)

    # --- lease -----------------------------------------------------------

    async def begin_lease(self) -> None:
        """Lease what the state needs, as it was loaded, and nothing else."""
        await self.keeper.begin()

    async def settle_lease(self) -> None:
        """Let the store drop needs that this mount has no more. Does nothing while a commit is
        under way.

        A commit leaves this for later, because the next commit does it in passing, and one
        transaction is a good part of a small commit.
        """
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            return
        try:
            await self.keeper.settle()
        finally:
            self._lock.release()

    async def renew_lease(self) -> None:
        """Put the lease again, because the store's is damaged and only the mount knows all of
        it."""
        async with self._lock:
            await self.keeper.put_again()

    # --- reload ----------------------------------------------------------

    async def reload(self, wait: float = 0.0, *, touch: bool = False) -> Reloaded:
        """Show the newest version. With ``touch``, files that arrive get the present as their
        time.

        VolumeBusyError, after ``wait`` seconds, while files are open, or if the reload would tear
        off something that is mounted. ReadOnlyMountError if nothing can be touched.
        """
        if touch:
            self.state.check_writable()
        began = perf_counter_ns()
        with counting_errors(self.activity.reloads, began):
            reloaded = await self._reload_until(trio.current_time() + wait, touch)
        self.activity.reloads.add(perf_counter_ns() - began)
        return reloaded

    async def _reload_until(self, deadline: float, touch: bool) -> Reloaded:
        while True:
            try:
                return await self._reload_once(touch)
            except VolumeBusyError:
                if trio.current_time() >= deadline:
                    raise
            await trio.sleep(RETRY_PAUSE)

    async def _reload_once(self, touch: bool) -> Reloaded:
        async with self._lock:
            before = self.state.view.head
            await self._drain()
            self._check_idle()
            head, snapshot = await self._load_head()
            # From the last look at open files to the swap nothing is awaited.
            reached("reload.leased")
            arrived = await self._list_arrived(snapshot) if touch else []
            attached = await self._find_attached(snapshot)
            notices = await self.bridge.settle(self._swap, head, snapshot, attached)
            reached("reload.swapped")
            lease = self.keeper.make()
            # This comes at once: until then the kernel's caches have the version before.
            touched = await self._tell_and_touch(notices, arrived)
            reached("reload.told")
            await self.bridge.settle(self.state.recount_usage)
            await self._settle_down(0, lease)
            await self.keeper.leave()
            return Reloaded(before, head, touched)

    async def _load_head(self) -> tuple[Head, Snapshot]:
        """The newest version, which is leased from now on. LeaseLostError if the lease was lost,
        and changes stand on a version that is gone."""
        load = (load_head, self.store, self.volume)
        try:
            await self.keeper.make_sure()
            head, snapshot, wide = await self.bridge.run(*load, self.lease)
        except LeaseLostError:
            if not self.state.overlay.is_clean:
                raise
            # Nothing is shown any more of what the lease was for.
            head, snapshot, wide = await self.bridge.run(*load, self.keeper.make_blank())
        if wide != self.lease:
            self.keeper.note_put(wide)
        return head, snapshot

    async def _list_arrived(self, snapshot: Snapshot) -> list[Path]:
        reader = Reader(self.store.objects_of(self.volume.id).load_object)
        view = self.state.view
        sides = (view.snapshot, snapshot)
        return await self.bridge.run(list_arrived, reader.get_tree, *sides, view.sub_path)

    async def _tell_and_touch(self, notices: list[KernelNotice], arrived: list[Path]) -> int:
        """Touch the files that arrived, and return their number. The kernel is told of all
        changes, whatever fails."""
        now, touched = self.state.clock(), []
        try:
            for number, path in enumerate(arrived, 1):
                touched.append(await self.bridge.settle(touch_arrived, self.state, path, now))
                if not number % TOUCHES:
                    await trio.lowlevel.checkpoint()
        finally:
            done = [notice for notice in touched if notice]
            await self.bridge.run(self.kernel.forget, notices + done)
        return len(done)

    async def find_head(self) -> Head:
        """The newest version. Nothing is awaited if the store knows it without waiting."""
        head = self.store.refs.find_head_ready(self.volume.id)
        return (
            await self.bridge.run(self.store.refs.get_head, self.volume.id)
            if head is None
            else head
        )

    async def follow(self) -> None:
        """Show the newest version, even while files are open. An open file keeps its content.

        The kernel is only told of changed content: it must not keep names and attributes for
        longer than a moment. Nothing is settled, so the lease must be ``onward``.
        """
        async with self._lock:
            head = await self.find_head()
            if head == self.state.view.head:
                return
            load = self.state.view.reader.load_manifest
            manifest = await self.bridge.settle(load, head.manifest)
            step = partial(show_keeping_attached, self.state, head, manifest.snapshot)
            notices = await self.bridge.settle(step, None)
            if notices is None:
                attached = await self.bridge.run(self.kernel.find_attached)
                notices = await self.bridge.settle(step, attached)
            reached("follow.shown")
            if other := [notice for notice in notices or () if notice.content]:
                await self.bridge.run(self.kernel.forget, other)
            await self.bridge.settle(self.state.recount_usage)

    async def _drain(self) -> None:
        """Wait for the releases of files that were closed before the call.

        The kernel sends a dozen at a time, so there may be more as long as the number of open
        files falls.
        """
        left = DRAIN_ROUNDS
        while self.state.open_files and left:
            before = self.state.open_files
            await self.bridge.run(self.kernel.drain)
            left = left - 1 if self.state.open_files >= before else DRAIN_ROUNDS

    def _check_idle(self) -> None:
        if self.state.open_files:
            raise VolumeBusyError(BUSY)

    async def _find_attached(self, snapshot: Snapshot) -> list[Attached]:
        if self.state.view.snapshot == snapshot:
            return []
        return await self.bridge.run(self.kernel.find_attached)

    def _swap(self, head: Head, snapshot: Snapshot, attached: list[Attached]) -> list[KernelNotice]:
        self._check_idle()
        return show_version(self.state, head, snapshot, attached)
