"""Renaming: the service copies, then the old key is deleted. Others may see both for a moment.

All objects of a directory are copied before the first is deleted, so a failure half way loses
nothing: the copies are removed again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from volfs.bucketfs.files import close_reader
from volfs.bucketfs.names import DIRECTORY, Facts, check_key, to_facts
from volfs.bucketfs.naming import FileNaming
from volfs.bucketfs.nodes import AnyNode, DirectoryNode, FileNode
from volfs.bucketfs.uploads import IfReplaced
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    CrossDeviceError,
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NotADirectoryInVolumeError,
    ObjectExistsError,
    StoreUnavailableError,
    VolfsError,
)
from volfs.model.text import describe_error, show

log = logging.getLogger(__name__)

OBJECTS_MAX = 10_000
"""The most objects of a directory that is renamed. With more, programs such as ``mv`` copy and
delete by themselves."""
COPY_MAX = 5 << 30
"""The largest object that a service copies with one request, in bytes."""
COPIES_AT_ONCE = 16
_TRIES = 3


class RenamedPlace:
    """A name in a directory, and its key."""

    def __init__(self, directory: DirectoryNode, name: bytes, key: str) -> None:
        self.directory = directory
        self.name = name
        self.key = key


class Renaming:
    """Renaming, built on the making and removing of names."""

    def __init__(self, naming: FileNaming) -> None:
        self.naming = naming
        self.state = naming.state
        self.bucket = naming.bucket
        self.turns = naming.turns
        self.run = naming.run

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replaces: bool
    ) -> None:
        """Rename. CrossDeviceError for what is too large, so that ``mv`` copies it."""
        self.state.check_writable()
        source, target = self._place(parent, name), self._place(new_parent, new_name)
        node = await self.naming.get(source.directory, name)
        there = await self.naming.find(target.directory, new_name)
        if there is node:
            return
        if there is not None and not replaces:
            raise EntryExistsError(show(new_name))
        if isinstance(node, FileNode):
            if isinstance(there, DirectoryNode):
                raise IsADirectoryInVolumeError(show(new_name))
            async with self.turns.alone(node, there):
                await self._rename_file(node, source, target, there, replaces=replaces)
        else:
            if isinstance(there, FileNode):
                raise NotADirectoryInVolumeError(show(new_name))
            async with self.turns.alone(node, there):
                await self._rename_directory(node, source, target, there)

    def _place(self, parent: int, name: bytes) -> RenamedPlace:
        directory = self.state.get_directory(parent)
        return RenamedPlace(directory, name, self.naming.make_key(directory, name))

    def _show(self, target: RenamedPlace, facts: Facts, there: AnyNode | None) -> None:
        """Show a copy before the former object is deleted: it stays if that fails."""
        if isinstance(there, DirectoryNode):
            self._forget(there)
        self.state.note(target.directory, target.name, facts)

    def _forget(self, top: DirectoryNode) -> None:
        """Forget all listings of a directory and of what is below it."""
        top.listing.forget_all()
        for below in top.iter_below():
            if isinstance(below, DirectoryNode):
                below.listing.forget_all()

    # --- files -----------------------------------------------------------

    async def _rename_file(
        self,
        node: FileNode,
        source: RenamedPlace,
        target: RenamedPlace,
        there: AnyNode | None,
        *,
        replaces: bool,
    ) -> None:
        follows = True
        if node.staged is not None and node.staged.is_dirty:
            await self.naming.writing.upload(node, target.key, IfReplaced.OVERWRITE)
            facts = node.facts
        else:
            facts, follows = await self._copy(node, source, target, replaces=replaces)
        assert facts is not None
        self._show(target, facts, there)
        if source.directory is not target.directory:
            await self.naming.keep_directory(source.directory, source.name)
        await self.run(self.bucket.delete, source.key)
        if there is not None:
            self.state.nodes.detach(there)
        target.directory.pending.discard(target.name)
        source.directory.pending.discard(source.name)
        self.state.note(source.directory, source.name, None)
        if follows:
            self.state.nodes.move(node, target.directory, target.name)
            self._follow(node, facts)
        else:
            self.state.nodes.detach(node)

    async def _copy(
        self, node: FileNode, source: RenamedPlace, target: RenamedPlace, *, replaces: bool
    ) -> tuple[Facts, bool]:
        """Copy an object: the copy's facts, and whether it has the bytes of the object that is
        open."""
        pinned = node.facts
        assert pinned is not None
        if pinned.size > COPY_MAX:
            raise CrossDeviceError(f"{source.key}: too large for the service to copy")
        needs_proof = bool(node.opens) or node.staged is not None
        try:
            found, etag = await self.run(
                _copy_object, self.bucket, source.key, target.key, not replaces, needs_proof
            )
        except ObjectExistsError:
            target.directory.listing.doubt(target.name)
            raise EntryExistsError(show(target.name)) from None
        return to_facts(found), not needs_proof or etag == pinned.etag

    def _follow(self, node: FileNode, facts: Facts) -> None:
        """Give an inode its new key, and perhaps a new ETag."""
        node.shown = facts.etag if node.shown else ""
        mtime_ns = (
            node.mtime_ns if node.mtime_ns is not None else node.facts and node.facts.mtime_ns
        )
        node.facts, node.mtime_ns = facts, mtime_ns
        close_reader(node)
        if node.staged is not None:
            node.staged.rename(node.key)
            node.staged.rebase(facts)

    # --- directories -----------------------------------------------------

    async def _rename_directory(
        self, node: DirectoryNode, source: RenamedPlace, target: RenamedPlace, there: AnyNode | None
    ) -> None:
        if target.directory.is_below(node):
            raise InvalidOperationError("a directory cannot be moved into itself")
        if isinstance(there, DirectoryNode) and (
            there.pending or not await self.naming.looking.is_empty(there)
        ):
            raise DirectoryNotEmptyError(show(target.name))
        old, new = f"{source.key}/", check_key(f"{target.key}/")
        pairs = await self.run(_copy_tree, self.bucket, old, new)
        self._show(target, DIRECTORY, there)
        if source.directory is not target.directory:
            await self.naming.keep_directory(source.directory, source.name)
        try:
            await self.run(_delete_tree, self.bucket, [before.key for before, _ in pairs])
        except VolfsError:
            self._forget(node)  # Some may be deleted.
            raise
        if there is not None:
            self.state.nodes.detach(there)
        self.state.note(source.directory, source.name, None)
        self.state.nodes.move(node, target.directory, target.name)
        self._follow_all(node, len(new), pairs)

    def _follow_all(
        self, top: DirectoryNode, cut: int, pairs: Sequence[tuple[ObjectInfo, ObjectInfo]]
    ) -> None:
        """Give everything loaded below a directory the facts of its copies."""
        copies = {after.key[cut:]: (before, after) for before, after in pairs}
        self._forget(top)
        for below in top.iter_below():
            if isinstance(below, DirectoryNode):
                continue
            if below.staged is not None:
                below.staged.rename(below.key)
            pair = copies.get(below.key[cut:])
            if pair is None or below.facts is None:
                continue
            if pair[0].etag == below.facts.etag or not (below.opens or below.is_ours):
                self._follow(below, to_facts(pair[1]))
            elif not below.is_ours:
                self.state.nodes.detach(below)  # Others had replaced the object that is open here.


# --- in threads ---------------------------------------------------------------


def _copy_object(
    bucket: Bucket, source: str, target: str, create: bool, needs_proof: bool
) -> tuple[ObjectInfo, str]:
    """Copy an object: the copy, and the ETag of the source if ``needs_proof``."""
    if not needs_proof:
        return bucket.copy(source, target, create=create), ""
    for attempt in range(_TRIES):
        before = bucket.head(source)
        found = bucket.copy(source, target, create=create and not attempt)
        if bucket.head(source).etag == before.etag:
            return found, before.etag
    raise StoreUnavailableError(f"{source}: others write it all the time")


def _copy_tree(bucket: Bucket, old: str, new: str) -> list[tuple[ObjectInfo, ObjectInfo]]:
    """Copy everything below a prefix, or nothing."""
    found = list(islice(iter_objects(bucket, old), OBJECTS_MAX + 1))
    if len(found) > OBJECTS_MAX or any(info.size > COPY_MAX for info in found):
        raise CrossDeviceError(f"{old}: too much for the service to copy")
    targets = [check_key(new + info.key[len(old) :]) for info in found]
    done: list[str] = []

    def copy(info: ObjectInfo, target: str) -> ObjectInfo:
        is_marker = target.endswith("/") and not info.size  # Some services do not copy markers.
        copied = bucket.put(target, b"") if is_marker else bucket.copy(info.key, target)
        done.append(target)
        return copied

    pool = ThreadPoolExecutor(COPIES_AT_ONCE)
    try:
        copies = list(pool.map(copy, found, targets))
    except VolfsError:
        pool.shutdown(cancel_futures=True)
        _take_back(bucket, sorted(done))
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return list(zip(found, copies, strict=True))


def _delete_tree(bucket: Bucket, keys: Sequence[str]) -> None:
    """Delete everything below a prefix, markers last and inner ones first, because some services
    keep a directory that has something."""
    bucket.delete_many([key for key in keys if not key.endswith("/")])
    bucket.delete_many([key for key in reversed(keys) if key.endswith("/")])


def _take_back(bucket: Bucket, keys: Sequence[str]) -> None:
    try:
        _delete_tree(bucket, keys)
    except VolfsError as error:
        log.error("copies of a rename that failed stay: %s", describe_error(error))
