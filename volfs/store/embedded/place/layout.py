"""The directory of a store: how one is recognised, locked and upgraded, and made so that no crash
leaves it half made."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from volfs.errors import (
    NotAStoreError,
    StoreDeniedError,
    StoreUnavailableError,
    UnsupportedFormatError,
)
from volfs.errors.fault_points import reached
from volfs.store.checked_lmdb.environment import LmdbEnvironment, store_errors
from volfs.store.embedded.place.handle import StoreHandle
from volfs.store.embedded.place.local_disk import check_local
from volfs.store.owner import give_to_owner
from volfs.system.files import remove_file, sync_directory, written_beside
from volfs.system.locks import locked_directory, try_lock

VERSION = 2
FORMER_VERSION = 1
"""The version of stores that are read, and changed only once they are upgraded."""
FORMAT, PACKS, INDEX = "format", "packs", "index"


class _Format(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int


def check_store(path: Path) -> None:
    """Raise an error unless there is a store that this user may open. Changes nothing.

    NotAStoreError; UnsupportedFormatError if a newer volfs made the store; StoreDeniedError;
    StoreUnavailableError if the store is on a disk that machines share.
    """
    with store_errors(f"store {path}"):
        try:
            data = (path / FORMAT).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotAStoreError(_say_why(path)) from error
    _decode_format(path, data)
    _check_private(path)
    with store_errors(f"store {path}"):
        check_local(path)


def _decode_format(path: Path, data: bytes) -> int:
    """The version that a format file states. UnsupportedFormatError; NotAStoreError."""
    try:
        # The version comes first, because a newer format may have keys that this one does not
        # know.
        stated = msgspec.json.decode(data, type=dict[str, object])
        version = stated.get("version")
        if stated.get("format") == "volfs" and isinstance(version, int) and version > VERSION:
            raise UnsupportedFormatError(
                f"store {path} has format version {version}; this volfs knows {VERSION}: update it"
            )
        known = msgspec.json.decode(data, type=_Format)
    except ValueError:
        known = _Format("", 0)
    if known.format != "volfs" or known.version not in (FORMER_VERSION, VERSION):
        raise NotAStoreError(f"{path / FORMAT} is not the format file of a volfs store")
    return known.version


def read_version(path: Path, lock: int) -> int:
    """The format version of a store. ``lock`` is a descriptor of its format file, which is also
    its lock."""
    with store_errors(f"store {path}"):
        return _decode_format(path, os.pread(lock, 1 << 12, 0))


def why_former(handle: StoreHandle) -> str:
    """Why a store of the former format may only be read. Empty if the store may be changed."""
    with store_errors(f"store {handle.path}"):
        data = (handle.base / FORMAT).read_bytes()
    return say_former(handle.path) if _decode_format(handle.path, data) < VERSION else ""


def say_former(path: Path) -> str:
    """The text that says why a store of a former volfs cannot be changed, and what to do."""
    return (
        f"store {path}: cannot be changed: a former volfs made it (format {FORMER_VERSION}); "
        f"`volfs upgrade` makes it format {VERSION}, which that volfs will refuse"
    )


def _check_private(path: Path) -> None:
    """StoreDeniedError if others may have planted something in the directory."""
    state = path.stat()
    if state.st_mode & 0o022:
        mode = stat.S_IMODE(state.st_mode)
        raise StoreDeniedError(
            f"store {path}: others may write to it (mode {mode:o}); `chmod 700` it"
        )
    if os.geteuid() not in (0, state.st_uid):
        raise StoreDeniedError(f"store {path} belongs to another user")


def _say_why(path: Path) -> str:
    if not path.exists():
        return f"no store at {path}; `volfs create NAME` makes one"
    if not path.is_dir():
        return f"{path} is a file, not a store"
    if _is_vacant(path):
        return f"no store at {path}, the directory is empty; `volfs create NAME` makes one"
    return f"{path} is a directory of other files, not a store"


def _is_vacant(path: Path) -> bool:
    """Whether a store may be made here: the directory is empty, or left by a creation that
    died."""
    ours = re.compile(rf"{PACKS}|{INDEX}|{FORMAT}\.\d+\.new")
    if not all(ours.fullmatch(item.name) for item in path.iterdir()):
        return False
    packs = path / PACKS
    return not packs.exists() or not any(packs.iterdir())


def open_handle(address: Path) -> StoreHandle:
    """Open the store at an address, after ``check_store``."""
    check_store(address.resolve())
    handle = StoreHandle(address)
    try:
        # The check looked at a name. Prove that the same directory is open.
        with store_errors(f"store {handle.path}"):
            handle.prove()
    except BaseException:
        handle.close()
        raise
    return handle


def create_store(path: Path) -> None:
    """Make the directory a store unless it is one. NotAStoreError if it is something else.

    Two processes may do this at once. A failure leaves nothing behind.
    """
    with store_errors(f"store {path}"):
        check_local(path)
        if not path.exists() or (path.is_dir() and not (path / FORMAT).exists()):
            with ExitStack() as undo:
                _make(path, undo)
                undo.pop_all()
    check_store(path)


def lock_store(handle: StoreHandle, *, alone: bool) -> int:
    """Lock an open store, and return the descriptor that holds the lock. With ``alone``, nobody
    else may have the store open.

    StoreUnavailableError if others hold a lock that forbids this one.
    """
    with store_errors(f"store {handle.path}"):
        fd = os.open(handle.base / FORMAT, os.O_RDONLY | os.O_CLOEXEC)
        is_locked = try_lock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        # An upgrade puts another file in this one's place.
        is_there = os.path.samestat(os.fstat(fd), (handle.base / FORMAT).stat())
    if is_locked and is_there:
        return fd
    os.close(fd)
    if is_locked:
        return lock_store(handle, alone=alone)
    if alone:
        raise StoreUnavailableError(
            f"store {handle.path} is in use; unmount its volumes (`volfs status`) and try again"
        )
    raise StoreUnavailableError(f"store {handle.path}: its index is being rebuilt; wait for it")


def upgrade_embedded(location: str) -> bool:
    """See ``store.registry.upgrade_format``."""
    with ExitStack() as stack:
        handle = open_handle(Path(location).absolute())
        stack.callback(handle.close)
        lock = lock_store(handle, alone=True)
        stack.callback(os.close, lock)
        if read_version(handle.path, lock) == VERSION:
            return False
        with store_errors(f"store {handle.path}"):
            handle.prove()
            reached("upgrade.locked")
            _write_format(handle.base)
        reached("upgrade.placed")
        return True


def _make(path: Path, undo: ExitStack) -> None:
    for place in (*reversed(path.parents), path):
        _make_directory(place, 0o700 if place == path else 0o777, undo)
    with locked_directory(path):
        if _is_vacant(path):
            path.chmod(0o700)
            try:
                _fill(path)
            except BaseException:
                _empty(path)
                raise


def _make_directory(path: Path, mode: int, undo: ExitStack) -> None:
    try:
        path.mkdir(mode)
    except FileExistsError:
        return
    undo.callback(_remove_vacant, path)


def _remove_vacant(path: Path) -> None:
    with suppress(OSError):  # Somebody else has put something into it.
        path.rmdir()


def _fill(path: Path) -> None:
    (path / PACKS).mkdir(mode=0o700, exist_ok=True)
    (path / INDEX).mkdir(mode=0o700, exist_ok=True)
    LmdbEnvironment(path / INDEX).close()
    _write_format(path)


def _empty(path: Path) -> None:
    """Take back what was made. Nobody has put anything into it, because it is no store yet."""
    for item in (*path.glob(f"{FORMAT}.*.new"), path / FORMAT):
        remove_file(item)
    for name in (PACKS, INDEX):
        shutil.rmtree(path / name, ignore_errors=True)


def _write_format(path: Path) -> None:
    """Write the format file, in one step, after everything else: from here on the directory is a
    store."""
    data = msgspec.json.encode(_Format("volfs", VERSION))
    beside = f"{FORMAT}.{os.getpid()}.new"
    with written_beside(path / FORMAT, data, beside=beside, made=_give(path)) as new:
        sync_directory(path / INDEX)
        sync_directory(path)
        new.rename(path / FORMAT)
    sync_directory(path)
    sync_directory(path.resolve().parent)


def _give(path: Path) -> Callable[[int], None]:
    return lambda fd: give_to_owner(fd, path)
