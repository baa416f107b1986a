"""What mounts of buckets have written and not uploaded: listing, uploading, exporting, discarding
it.

It is in directories whose lock no daemon holds: the daemon died, or its last upload failed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from volfs.bucketfs.staged import JOURNAL, Staged, load_staged
from volfs.bucketfs.staging import BUCKETS, FACTS, LOCK, StagingFacts, iter_stems, remove_staging
from volfs.bucketfs.uploads import ReadObject, make_source, upload
from volfs.buckets.access import Bucket
from volfs.buckets.objects import Data
from volfs.daemon.buckets.opening import open_planned
from volfs.daemon.mount_options import BucketPlan
from volfs.errors import (
    DamagedObjectError,
    LocalFileError,
    MountError,
    NotFoundError,
    ObjectNotFoundError,
    OverriddenError,
    VolfsError,
)
from volfs.model.text import describe_error
from volfs.store.location import state_directory
from volfs.system.locks import holding, is_locked
from volfs.volume.local_tree import open_output

log = logging.getLogger(__name__)

_BLOCK = 8 << 20


@dataclass(frozen=True)
class BucketLeft:
    """One directory of files that were not uploaded, as ``volfs overlays`` shows it."""

    name: str
    path: Path
    facts: StagingFacts
    alive: bool
    files: int
    bytes: int
    age: float
    """Seconds since the last write to the directory."""
    problem: str

    @property
    def state(self) -> str:
        if self.alive:
            return "alive"
        return "damaged" if self.problem else "dead"


def list_left() -> list[BucketLeft]:
    """The directories with files in them, oldest first, those of living mounts included."""
    state = state_directory()
    if state is None or not (state / BUCKETS).is_dir():
        return []
    found = [_describe(path) for path in (state / BUCKETS).iterdir() if path.is_dir()]
    return sorted((one for one in found if one.files), key=lambda one: -one.age)


def find_left(name: str) -> BucketLeft | None:
    return next((one for one in list_left() if one.name == name), None)


def clear_ended() -> None:
    """Remove the directories of daemons that died with nothing to upload. Raises nothing."""
    state = state_directory()
    with suppress(OSError):
        for path in (state / BUCKETS).iterdir() if state else ():
            with holding(path / LOCK) as held:
                if held and not _describe(path, is_held=True).files:
                    remove_staging(path)


def upload_left(name: str, secret: dict[str, str] | None, *, replaces: bool) -> tuple[int, int]:
    """Upload all files of a directory, then remove it. Returns how many files and bytes.

    On an error the files that are not uploaded yet stay. OverriddenError if ``replaces`` is False
    and others have written one of the objects.
    """
    with _taken(name) as left:
        bucket = open_planned(_make_plan(left, secret))
        files = size = 0
        try:
            if not replaces:
                _check_unchanged(left, bucket)
            for staged in _iter_staged(left.path):
                key = staged.about.key
                try:
                    upload(bucket, key, make_source(staged, _reader(bucket, staged)), True)
                except BaseException:
                    staged.close()
                    raise
                files, size = files + 1, size + staged.size
                staged.remove()
        finally:
            bucket.close()
        remove_staging(left.path)
        return files, size


def discard_left(name: str) -> None:
    """Remove a directory with all files in it."""
    with _taken(name) as left:
        remove_staging(left.path)


def export_left(
    name: str, output: str, secret: dict[str, str] | None, *, force: bool
) -> tuple[int, int, list[str]]:
    """Write the files of a directory to ``output``, by their keys. Returns their number, their
    bytes, and problems.

    A file that lies over an object needs that object. Without it there is only a problem to
    report.
    """
    with _taken(name) as left:
        tree = open_output(os.path.abspath(os.fsencode(output)), force=force)
        tree.close()
        bucket = open_planned(_make_plan(left, secret))
        files, size, problems = 0, 0, list[str]()
        try:
            for staged in _iter_staged(left.path):
                try:
                    _write_out(Path(output) / staged.about.key, staged, _reader(bucket, staged))
                    files, size = files + 1, size + staged.size
                except VolfsError as error:
                    problems.append(f"{staged.about.key}: {describe_error(error)}")
                finally:
                    staged.close()
        finally:
            bucket.close()
        return files, size, problems


# --- inside -------------------------------------------------------------------


def _describe(path: Path, *, is_held: bool = False) -> BucketLeft:
    files, size, problem = 0, 0, ""
    for stem in iter_stems(path):
        try:
            staged = load_staged(stem)
        except (OSError, DamagedObjectError) as error:
            files, problem = files + 1, str(error)
            continue
        files, size = files + staged.is_dirty, size + staged.size * staged.is_dirty
        staged.close()
    alive = not is_held and is_locked(path / LOCK)
    return BucketLeft(
        path.name, path, _load_facts(path), alive, files, size, _find_age(path), problem
    )


def _load_facts(path: Path) -> StagingFacts:
    try:
        return msgspec.json.decode((path / FACTS).read_bytes(), type=StagingFacts)
    except (OSError, ValueError):
        return StagingFacts("")


def _find_age(path: Path) -> float:
    times = [place.stat().st_mtime for place in path.glob(f"*{JOURNAL}")]
    return max(0.0, time.time() - max(times, default=time.time()))


@contextmanager
def _taken(name: str) -> Iterator[BucketLeft]:
    """Hold a directory, so that nobody else touches it during the block. NotFoundError;
    MountError."""
    left = find_left(name)
    if left is None:
        raise NotFoundError(f"no overlay {name}; `volfs overlays` lists them")
    with holding(left.path / LOCK) as held:
        if not held:
            raise MountError(
                f"{name}: mounted at {left.facts.mountpoint}, by a living daemon "
                f"(process {left.facts.pid})"
            )
        yield replace(left, alive=False)


def _make_plan(left: BucketLeft, secret: dict[str, str] | None) -> BucketPlan:
    facts = left.facts
    if not facts.address:
        raise DamagedObjectError(f"{left.name}: nothing says of which bucket it is")
    return BucketPlan(
        facts.address,
        secret=secret,
        profile=facts.profile,
        role_arn=facts.role_arn,
        unsigned=facts.unsigned,
        requester_pays=facts.requester_pays,
    )


def _iter_staged(path: Path) -> Iterator[Staged]:
    """Yield the files that are not uploaded. The caller closes or removes each."""
    for stem in list(iter_stems(path)):
        staged = load_staged(stem)
        if staged.is_dirty:
            yield staged
        else:
            staged.remove()


def _reader(bucket: Bucket, staged: Staged) -> ReadObject | None:
    base = staged.base
    if base is None:
        return None

    def read(offset: int, length: int) -> Data:
        return bucket.get_range(staged.about.key, offset, length, etag=base.etag)

    return read


def _check_unchanged(left: BucketLeft, bucket: Bucket) -> None:
    for stem in iter_stems(left.path):
        staged = load_staged(stem)
        staged.close()
        try:
            etag: str | None = bucket.head(staged.about.key).etag
        except ObjectNotFoundError:
            etag = None
        if staged.is_dirty and etag != (staged.base and staged.base.etag):
            raise OverriddenError(f"{staged.about.key}: others have written it since")


def _write_out(target: Path, staged: Staged, read_object: ReadObject | None) -> None:
    source = make_source(staged, read_object)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for start in range(0, source.size, _BLOCK):
                file.write(source.read(start, min(start + _BLOCK, source.size)))
    except OSError as error:
        raise LocalFileError(f"{target}: {error.strerror}") from error
    except VolfsError:
        target.unlink()
        raise
