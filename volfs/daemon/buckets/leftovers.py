"""What mounts of buckets have written and not uploaded: listing, uploading, exporting, discarding
it.

It is in directories whose lock no daemon holds: the daemon died, or its last upload failed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from volfs.bucketfs.staged import DATA, Staged, load_staged
from volfs.bucketfs.staging import (
    FACTS,
    LOCK,
    StagingFacts,
    find_place,
    iter_stems,
    list_journals,
    remove_staging,
)
from volfs.bucketfs.uploads import IfReplaced, ReadObject, make_source, upload
from volfs.buckets.access import Bucket
from volfs.daemon.buckets.opening import open_planned
from volfs.daemon.mount_options import BucketPlan
from volfs.errors import (
    BaseObjectLostError,
    DamagedObjectError,
    LocalFileError,
    MountError,
    NotFoundError,
    ObjectNotFoundError,
    OverriddenError,
    StoreTimeoutError,
    StoreUnavailableError,
    VolfsError,
)
from volfs.model.entry import Entry, FileKind
from volfs.model.names import parse_path
from volfs.model.objects import Buffer
from volfs.model.text import describe_error, show
from volfs.store.clock import now_ns
from volfs.store.location import state_directory
from volfs.system.locks import holding, is_locked
from volfs.volume.local_tree import LocalTree, is_end, open_output

log = logging.getLogger(__name__)

_BLOCK = 8 << 20
PATIENCE = 2.0
"""Seconds for those who only look at a directory, and hold its lock for a moment."""
SHOWN = 5
"""How many keys a message names."""


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
    """The directories with files in them, oldest first, those of living mounts included.
    LocalFileError if others could have put them there."""
    place = _find_place()
    if place is None or not place.is_dir():
        return []
    found = [_describe(path) for path in place.iterdir() if path.is_dir()]
    return sorted((one for one in found if one.files), key=lambda one: -one.age)


def find_left(name: str) -> BucketLeft | None:
    return next((one for one in list_left() if one.name == name), None)


def clear_ended() -> None:
    """Remove the directories of daemons that died with nothing to upload. Raises nothing."""
    with suppress(OSError, LocalFileError):
        place = _find_place()
        for path in place.iterdir() if place else ():
            with holding(path / LOCK) as held:
                if held and not _describe(path, is_held=True).files:
                    remove_staging(path)


class LeftReport(NamedTuple):
    """How many files and bytes went where they should go, and what the others prevented."""

    files: int
    bytes: int
    problems: list[str]


def upload_left(name: str, secret: dict[str, str] | None, *, replaces: bool) -> LeftReport:
    """Upload all files of a directory. Each that is in the bucket is removed here, and the others
    stay, with a problem each.

    OverriddenError before anything is uploaded if ``replaces`` is False and others have written
    one of the objects. StoreUnavailableError if the bucket is away, because then the next file
    would wait in vain, too. A fault of the service that may concern one object is a problem of
    that file.
    """
    with _taken(name) as left, _opened(left, secret) as bucket:
        if not replaces:
            _check_unchanged(left, bucket)
        if_replaced = IfReplaced.LOG if replaces else IfReplaced.REFUSE
        files, size, problems = 0, 0, list[str]()
        for staged in _iter_staged(left.path, problems):
            problem = upload_one(bucket, staged, if_replaced)
            if problem:
                problems.append(problem)
                continue
            files, size = files + 1, size + staged.size
            staged.remove()
        if not problems:
            remove_staging(left.path)
        return LeftReport(files, size, problems)


def upload_one(bucket: Bucket, staged: Staged, if_replaced: IfReplaced) -> str:
    """Upload a file; or close it, and return why it cannot be uploaded. StoreUnavailableError or
    StoreTimeoutError if the bucket is away."""
    key = staged.about.key
    try:
        upload(bucket, key, make_source(staged, _reader(bucket, staged)), if_replaced)
    except VolfsError as error:
        staged.close()
        if bucket.is_away and isinstance(error, (StoreUnavailableError, StoreTimeoutError)):
            raise
        return _explain(staged, error)
    except BaseException:
        staged.close()
        raise
    return ""


def discard_left(name: str) -> None:
    """Remove a directory with all files in it."""
    with _taken(name) as left:
        remove_staging(left.path)


def export_left(
    name: str, output: str, secret: dict[str, str] | None, *, force: bool
) -> LeftReport:
    """Write the files of a directory to ``output``, by their keys. Returns their number, their
    bytes, and problems.

    A file that lies over an object needs that object. Without it there is only a problem to
    report.
    """
    with _taken(name) as left, _opened(left, secret) as bucket, ExitStack() as stack:
        tree = open_output(os.path.abspath(os.fsencode(output)), force=force)
        stack.callback(tree.close)
        files, size, problems = 0, 0, list[str]()
        for staged in _iter_staged(left.path, problems):
            try:
                _write_out(tree, staged, _reader(bucket, staged))
                files, size = files + 1, size + staged.size
            except VolfsError as error:
                if isinstance(error, LocalFileError) and is_end(error):
                    raise
                problems.append(_explain(staged, error))
            finally:
                staged.close()
        tree.sync()
        return LeftReport(files, size, problems)


# --- inside -------------------------------------------------------------------


def _find_place() -> Path | None:
    state = state_directory()
    try:
        return None if state is None else find_place(state)
    except OSError as error:
        raise LocalFileError(f"{state}: {error.strerror}") from error


def _describe(path: Path, *, is_held: bool = False) -> BucketLeft:
    files, size, problem = 0, 0, ""
    alive = not is_held and is_locked(path / LOCK)
    for stem in iter_stems(path):
        try:
            staged = load_staged(stem)
        except DamagedObjectError as error:
            if not alive:  # a living mount may have removed it just now
                files, problem = files + 1, str(error)
            continue
        files, size = files + staged.is_dirty, size + staged.size * staged.is_dirty
        staged.close()
    return BucketLeft(
        path.name, path, _load_facts(path), alive, files, size, _find_age(path), problem
    )


def _load_facts(path: Path) -> StagingFacts:
    try:
        return msgspec.json.decode((path / FACTS).read_bytes(), type=StagingFacts)
    except (OSError, ValueError):
        return StagingFacts("")


def _find_age(path: Path) -> float:
    newest = max((when for when, _ in list_journals(path)), default=now_ns())
    return max(0.0, (now_ns() - newest) / 1e9)


@contextmanager
def _taken(name: str) -> Iterator[BucketLeft]:
    """Hold a directory, so that nobody else touches it during the block. NotFoundError;
    MountError."""
    left = find_left(name)
    if left is None:
        raise NotFoundError(f"no overlay {name}; `volfs overlays` lists them")
    with holding(left.path / LOCK, PATIENCE) as held:
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


@contextmanager
def _opened(left: BucketLeft, secret: dict[str, str] | None) -> Iterator[Bucket]:
    bucket = open_planned(_make_plan(left, secret))
    try:
        yield bucket
    finally:
        bucket.close()


def _iter_staged(path: Path, problems: list[str]) -> Iterator[Staged]:
    """Yield the files that are not uploaded. The caller closes or removes each.

    What cannot be read is added to ``problems``.
    """
    for stem in list(iter_stems(path)):
        try:
            staged = load_staged(stem)
        except DamagedObjectError as error:
            problems.append(str(error))
            continue
        if staged.is_dirty:
            yield staged
        else:
            staged.remove()


def _reader(bucket: Bucket, staged: Staged) -> ReadObject | None:
    base = staged.base
    if base is None:
        return None

    def read(offset: int, length: int) -> Buffer:
        return bucket.get_range(staged.about.key, offset, length, etag=base.etag)

    return read


def _explain(staged: Staged, error: VolfsError) -> str:
    """Why nothing became of a file, and what is left to do."""
    if isinstance(error, BaseObjectLostError):
        data = staged.stem.with_suffix(DATA)
        return f"{error}; its new bytes are in {data}, with zeros where that object's were"
    return f"{show(staged.about.key)}: {describe_error(error)}"


def _check_unchanged(left: BucketLeft, bucket: Bucket) -> None:
    """Look before the first upload whether others have written any of the objects.
    OverriddenError."""
    written = []
    for staged in _iter_staged(left.path, []):
        staged.close()
        try:
            etag: str | None = bucket.head(staged.about.key).etag
        except ObjectNotFoundError:
            etag = None
        if etag != (staged.base and staged.base.etag):
            written.append(show(staged.about.key))
    written.sort()
    if written:
        more = f" and {len(written) - SHOWN} more" if len(written) > SHOWN else ""
        raise OverriddenError(
            f"{', '.join(written[:SHOWN])}{more}: others have written since; "
            "--on-conflict override replaces theirs"
        )


def _write_out(tree: LocalTree, staged: Staged, read_object: ReadObject | None) -> None:
    """Write one file below the output directory, whole or not at all. LocalFileError;
    InvalidPathError for a key that would lead elsewhere."""
    path = parse_path(staged.about.key)
    for depth in range(1, len(path)):
        tree.make_directory(path[:depth])
    source = make_source(staged, read_object)
    parts = (
        (start, source.read(start, min(start + _BLOCK, source.size)))
        for start in range(0, source.size, _BLOCK)
    )
    entry = Entry(b"", FileKind.FILE, 0o644, os.geteuid(), os.getegid(), mtime_ns=staged.mtime_ns)
    tree.write_file(path, entry, source.size, parts)
