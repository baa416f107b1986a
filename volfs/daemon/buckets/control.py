"""The requests to a running mount of a bucket: its status and its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from volfs.bucketfs.mount import BucketFiles
from volfs.control.protocol import BucketStatus, MountStatus, Request
from volfs.daemon.logs import count_logged
from volfs.daemon.mount_options import AtEnd
from volfs.daemon.unmounting import Unmounting
from volfs.daemon.whereabouts import Whereabouts
from volfs.errors import MountError, VolfsError
from volfs.fuse.bucket_ops import BucketOperations
from volfs.model.text import show


class BucketControl(Unmounting):
    """The answers of one bucket's mount. Nothing is committed: a file is in the bucket once it is
    closed."""

    def __init__(
        self,
        address: str,
        files: BucketFiles,
        operations: BucketOperations,
        place: Whereabouts,
    ) -> None:
        super().__init__(operations, place)
        self.address = address
        self.files = files

    async def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        return await trio.to_thread.run_sync(call, *arguments)

    async def handle(self, request: Request) -> msgspec.Struct:
        match request.verb:
            case "status":
                return self.status()
            case "unmount":
                return await self.unmount(request)
            case "changes" | "commit" | "reload":
                raise MountError(
                    f"{show(self.mountpoint)}: a bucket has no versions: what is written is there "
                    "once it is closed, and what others write is seen by itself"
                )
        raise MountError(f"unknown request {request.verb!r}")

    def status(self) -> MountStatus:
        state = self.files.state
        return MountStatus(
            volume=self.address,
            mountpoint=self.mountpoint,
            version=0,
            pid=os.getpid(),
            dirty_files=len(self.files.list_dirty()),
            dirty_bytes=self.files.dirty_bytes,
            open_files=state.open_files,
            read_only=state.rules.read_only,
            auto_commit=None,
            store=self.address,
            volume_id="",
            requests=self.list_requests(),
            logged=count_logged(),
            bucket=BucketStatus(
                self.address,
                state.hidden,
                self.files.bucket.unreachable_since_ns,
                self.files.staging.left,
            ),
        )

    async def save(self, at_end: AtEnd) -> tuple[AtEnd, VolfsError | None]:
        # Closed files are in the bucket, and open files keep the mount from ending.
        return at_end, None

    async def save_at_signal(self) -> None:
        await self.files.upload_all()
